import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { functionMigrator, knexMigrator, sqlMigrator } from '../../src/migrators/index.ts'
import { migratorContract } from './migrator-contract.ts'

const knexFile = (sql: string): string =>
  `exports.up = (knex) => knex.raw(${JSON.stringify(sql)})\nexports.down = () => undefined\n`

migratorContract('knexMigrator', {
  definition: () => knexMigrator(),
  files: {
    'migrations/001_a.js': knexFile('create table a (id int)'),
    'migrations/002_b.js': knexFile('create table b (id int)'),
  },
  broken: { 'migrations/003_c.js': knexFile('select 1\nfrom nowhere') },
  locking: { 'migrations/003_c.js': knexFile('alter table a add x int') },
  changed: { 'migrations/002_b.js': knexFile('create table b (id bigint)') },
  incremental: true,
})

migratorContract('sqlMigrator', {
  definition: () => sqlMigrator(),
  files: { 'migrations/001_a.sql': 'create table a (id int);', 'migrations/002_b.up.sql': 'create table b (id int);' },
  broken: { 'migrations/003_c.sql': '-- third\nselect 1;\nselect 1\nfrom nowhere;' },
  locking: { 'migrations/003_c.sql': 'alter table a add x int' },
  changed: { 'migrations/002_b.up.sql': 'create table b (id bigint);' },
  incremental: true,
})

migratorContract('functionMigrator', {
  definition: (project) => {
    const text = (): string => readFileSync(join(project.root, 'schema.sql'), 'utf8')
    return functionMigrator({ name: 'schema', hash: text, migrate: ({ query }) => query(text()) })
  },
  files: { 'schema.sql': 'create table if not exists a (id int); create table if not exists b (id int);' },
  broken: { 'schema.sql': 'select 1\nfrom nowhere' },
  locking: { 'schema.sql': 'alter table a add x int' },
  changed: { 'schema.sql': 'create table a (id int)' },
  incremental: false,
})
