// A process that calls one function of the embedded server, says what came of it and ends:
// `node embedded-actor.mjs <module> <function> <options as JSON>`.
import { subscribe } from 'node:diagnostics_channel'

const [module, name, options] = process.argv.slice(2)
const say = (message) => process.send?.(message)
subscribe('testdb:server.starting', () => say({ kind: 'starting' }))
try {
  const functions = await import(module)
  say({ kind: 'ready', result: await functions[name](JSON.parse(options)) })
} catch (error) {
  say({ kind: 'failed', code: error.code, message: error.stack })
}
process.disconnect?.()
