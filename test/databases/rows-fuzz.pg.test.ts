/**
 * Random schemas and workloads: whatever tests do, a reset by `rows` gives the template again, in everything that there is.
 *
 * A failure says how to see it again: `TESTDB_FUZZ_SEED=n TESTDB_FUZZ_CASES=1 npx vitest run --project pg test/databases/rows-fuzz`.
 * More cases: `TESTDB_FUZZ_CASES=20000`; 2,000 take two minutes, which is too long for every commit.
 */
import { expect, test } from 'vitest'
import { isShort } from '../helpers/effort.ts'
import { Arena } from './rows-fuzz/arena.ts'
import { type Outcome, play } from './rows-fuzz/play.ts'
import { Random } from './rows-fuzz/random.ts'
import { someWorkload } from './rows-fuzz/workload.ts'

/** Cases that share a schema and its database: making those costs as much as many resets. */
const PER_SCHEMA = 100

// The same every time, so that a change that passes here does not fail elsewhere; other seeds by hand.
const FIRST = Number(process.env.TESTDB_FUZZ_SEED ?? 0)
const CASES = Number(process.env.TESTDB_FUZZ_CASES ?? (isShort ? 200 : 600))

const schemas: { schema: number; from: number; to: number }[] = []
for (let from = FIRST; from < FIRST + CASES; ) {
  const schema = Math.floor(from / PER_SCHEMA)
  const to = Math.min((schema + 1) * PER_SCHEMA, FIRST + CASES)
  schemas.push({ schema, from, to })
  from = to
}

/** Every so many cases it is looked whether the workload has changed anything. */
const LOOK = 5

const outcomes: Outcome[] = []

test.each(schemas)(
  'schema $schema, seeds from $from to below $to',
  { timeout: 120_000 },
  async ({ schema, from, to }) => {
    await using arena = await Arena.open(schema, CASES <= 100)
    for (let seed = from; seed < to; seed++) {
      const workload = someWorkload(new Random(seed), arena.schema)
      try {
        outcomes.push(await play(arena, workload, seed % LOOK === 0))
      } catch (error) {
        const steps = workload.steps.map((step) => JSON.stringify(step)).join('\n  ')
        const again = (first: number): string => `TESTDB_FUZZ_SEED=${first} TESTDB_FUZZ_CASES=${seed + 1 - first}`
        throw new Error(
          `seed ${seed} (${workload.kind}); again: ${again(seed)}, with what came before it: ${again(from)}\n  ${steps}\n${String(error)}`,
          { cause: error },
        )
      }
    }
  },
)

test('the workloads did something', () => {
  const changed = outcomes.filter((one) => one.changed).length
  const sum = (of: 'statements' | 'failed'): number => outcomes.reduce((all, one) => all + one[of], 0)
  if (process.env.TESTDB_FUZZ_STATS)
    console.log({ cases: outcomes.length, changed, statements: sum('statements'), failed: sum('failed') })
  // A few cases alone may be of any kind.
  if (outcomes.length < 100) return
  expect(changed).toBeGreaterThan(outcomes.length / LOOK / 2)
  expect(sum('failed')).toBeLessThan(sum('statements') / 2)
})
