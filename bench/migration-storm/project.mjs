// The project that all processes migrate: a knexfile and migrations that together take the asked time.
import { symlinkSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const MIGRATIONS = 150

const nameOf = (index) => `${String(index).padStart(4, '0')}_step.js`

/** Waits, makes a table with an index and a foreign key, fills it, and says outside of the database that it was run. */
const migration = (index, seconds) => `const { appendFileSync } = require('node:fs')
exports.up = async (knex) => {
  appendFileSync(process.env.EXECUTED, '${nameOf(index)} ' + process.pid + '\\n')
  await knex.raw('select pg_sleep(${(seconds / MIGRATIONS).toFixed(4)})')
  await knex.schema.createTable('step_${index}', (table) => {
    table.increments()
    table.text('name').notNullable().index()
    ${index > 0 ? `table.integer('before').references('id').inTable('step_${index - 1}')` : ''}
  })
  await knex('step_${index}').insert([{ name: 'one' }, { name: 'two' }])
}
exports.down = (knex) => knex.schema.dropTable('step_${index}')
`

/** Makes a folder with the project, and room for the caches of the servers beside it. */
export async function makeProject(seconds) {
  const home = await mkdtemp(join(tmpdir(), 'testdb-storm-'))
  // As root, Postgres runs as another user, who must be able to pass through.
  await chmod(home, 0o755)
  const root = join(home, 'project')
  await mkdir(join(root, 'migrations'), { recursive: true })
  symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(root, 'node_modules'))
  await writeFile(join(root, 'package.json'), JSON.stringify({ name: 'storm', private: true }))
  await writeFile(
    join(root, 'knexfile.js'),
    `module.exports = { client: 'pg', connection: process.env.STORM_URL, migrations: { directory: './migrations' } }\n`,
  )
  for (let index = 0; index < MIGRATIONS; index++) {
    await writeFile(join(root, 'migrations', nameOf(index)), migration(index, seconds))
  }
  return { home, root }
}

/** How often each migration was begun, by whatever process: the file says so, whether or not the database kept it. */
export async function executions(file) {
  const counts = new Map()
  const text = await readFile(file, 'utf8').catch(() => '')
  for (const line of text.split('\n').filter(Boolean)) {
    const [name] = line.split(' ')
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  const values = [...counts.values()]
  return {
    total: values.reduce((sum, n) => sum + n, 0),
    exactlyOnce: values.length === MIGRATIONS && values.every((n) => n === 1),
  }
}
