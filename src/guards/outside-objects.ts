/** The guard `outsideObjects`: roles, databases and tablespaces outlive every reset, and other workers see them. */
import type { OutsideObject } from '../postgres/index.ts'
import { counted, type Found } from './found.ts'

/** `objects`: those that `who` has made and that are still there. */
export function outsideObjects(who: string, objects: readonly OutsideObject[]): Found[] {
  if (objects.length === 0) return []
  const names = objects.map(({ kind, name }) => `${kind} "${name}"`).join(', ')
  return [
    {
      message: `${who} made ${counted(objects.length, 'object')} outside of its database and left: ${names}`,
      advice: [
        'Drop them in `afterEach`, or at the end of the test in a `finally`.',
        'Roles that every test needs belong into a migration, as `do $$ … if not exists … $$`.',
      ],
      details: { objects },
    },
  ]
}
