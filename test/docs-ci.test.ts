/** The files of docs/ci.md and of the compose example: they can be parsed, and what they call and set exists. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { createProgram } from '../src/cli/program.ts'
import { createTerminal } from '../src/cli/terminal.ts'
import { ENVIRONMENT_VARIABLES } from '../src/config/environment.ts'
import { parseUrl } from '../src/postgres/target.ts'
import { saysTest } from '../src/server/url.ts'

const root = resolve(import.meta.dirname, '..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const page = read('docs/ci.md')
const files = [...page.matchAll(/^## (.+)\n[\s\S]*?```yaml\n([\s\S]*?)```/gm)].map(([, name = '', text = '']) => ({
  name,
  text,
}))
const find = (name: string): string => files.find((file) => file.name === name)?.text ?? ''

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly with?: Record<string, string>
}
interface Workflow {
  readonly jobs: {
    readonly test: {
      readonly steps: Step[]
      readonly env: Record<string, string>
      readonly strategy?: { readonly matrix: { readonly shard: number[] } }
      readonly services?: { readonly postgres: { readonly env: Record<string, string>; readonly ports: string[] } }
    }
  }
}

test('every file can be parsed', () => {
  expect(files.map(({ name }) => name)).toEqual([
    'GitHub Actions, embedded',
    'GitHub Actions, a service container',
    'GitHub Actions, sharded',
    'GitLab CI',
    'Kubernetes',
  ])
  for (const { name, text } of files) {
    for (const document of parseAllDocuments(text)) expect(document.errors, name).toEqual([])
  }
})

test.each(files)('$name: the commands and the variables of testdb exist', ({ text }) => {
  const commands = [...text.matchAll(/npx testdb (\S+)/g)].map((match) => match[1])
  const known = createProgram(createTerminal(), () => undefined).commands.map((command) => command.name())
  expect(commands.filter((name) => !known.includes(name ?? ''))).toEqual([])
  const variables = [...text.matchAll(/TESTDB_[A-Z_]+/g)].map(([name]) => name)
  expect(variables.length).toBeGreaterThan(0)
  expect(variables.filter((name) => !ENVIRONMENT_VARIABLES.some((one) => one.name === name))).toEqual([])
  const others = [...text.matchAll(/npx (\S+)/g)].map((match) => match[1])
  expect(others.filter((name) => name !== 'testdb' && name !== 'vitest')).toEqual([])
})

test.each(files.filter(({ name }) => name.startsWith('GitHub')))(
  '$name: each step does one thing, npm ci before the tests',
  ({ text }) => {
    const { steps } = (parse(text) as Workflow).jobs.test
    for (const step of steps) expect([step.uses, step.run].filter(Boolean)).toHaveLength(1)
    const runs = steps.flatMap(({ run }) => run ?? [])
    expect(runs.findIndex((run) => run.startsWith('npx vitest run'))).toBeGreaterThan(runs.indexOf('npm ci'))
  },
)

test('GitHub Actions: the cached folder is the one that testdb uses; the service is the server of the URL', () => {
  const embedded = (parse(find('GitHub Actions, embedded')) as Workflow).jobs.test
  const cached = embedded.steps.find(({ uses }) => uses?.startsWith('actions/cache'))?.with?.path
  expect(embedded.env.TESTDB_CACHE_DIR).toBe(`\${{ github.workspace }}/${cached}`)
  const { env, services } = (parse(find('GitHub Actions, a service container')) as Workflow).jobs.test
  expectSame(env.TESTDB_URL, services?.postgres.env, services?.postgres.ports[0]?.split(':')[0])
  const { strategy, steps } = (parse(find('GitHub Actions, sharded')) as Workflow).jobs.test
  expect(steps.at(-1)?.run).toContain(`/${strategy?.matrix.shard.length}`)
})

test('GitLab CI: the service is the server of the URL', () => {
  const { test: job } = parse(find('GitLab CI')) as {
    test: { variables: Record<string, string>; services: { alias: string }[] }
  }
  expectSame(job.variables.TESTDB_URL, job.variables, '5432')
  expect(parseUrl(job.variables.TESTDB_URL ?? '').host).toBe(job.services[0]?.alias)
})

test('Kubernetes: secret, server, service and job name each other', () => {
  const all = parseAllDocuments(find('Kubernetes')).map((document) => document.toJS())
  expect(all.map(({ kind }) => kind)).toEqual(['Secret', 'Deployment', 'Service', 'Job'])
  const [secret, deployment, service, job] = all
  const { host, password, database } = parseUrl(secret.stringData.url)
  expect([host, password]).toEqual([service.metadata.name, secret.stringData.password])
  const [container] = deployment.spec.template.spec.containers
  expect(container.env).toContainEqual({ name: 'POSTGRES_DB', value: database })
  expect(service.spec.selector).toEqual(deployment.spec.template.metadata.labels)
  const [pod] = job.spec.template.spec.containers
  expect(pod.command.at(-1)).toContain(`/${job.spec.completions}`)
  for (const { valueFrom } of [...container.env, ...pod.env]) {
    if (valueFrom) expect(Object.keys(secret.stringData)).toContain(valueFrom.secretKeyRef.key)
  }
})

test('the compose example: the file is the server of the URL in its README, and its scripts exist', () => {
  const folder = 'examples/existing-server'
  const readme = read(`${folder}/README.md`)
  const { services } = parse(read(`${folder}/docker-compose.test.yml`)) as {
    services: { postgres: { environment: Record<string, string>; ports: string[] } }
  }
  const url = /TESTDB_URL=(\S+)/.exec(readme)?.[1]
  expectSame(url, services.postgres.environment, services.postgres.ports[0]?.split(':')[0])
  const { scripts } = JSON.parse(read(`${folder}/package.json`)) as { scripts: Record<string, string> }
  const named = [...readme.matchAll(/npm run ([a-z:]+)/g)].map((match) => match[1] ?? '')
  expect(named.filter((name) => !(name in scripts))).toEqual([])
})

function expectSame(url = '', image: Record<string, string> = {}, port = ''): void {
  const target = parseUrl(url)
  expect(target).toMatchObject({ user: 'postgres', password: image.POSTGRES_PASSWORD, database: image.POSTGRES_DB })
  expect(String(target.port)).toBe(port)
  expect(saysTest(target.database)).toBe(true)
}
