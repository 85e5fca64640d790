// A process that uses the container: `node actor.mjs <module> <options as JSON>`. It attaches or starts, opens a session, says how
// the server is reached, and stays until it is ended.
import pg from 'pg'

const [module, options] = process.argv.slice(2)
try {
  const { startContainer } = await import(module)
  const server = await startContainer(JSON.parse(options))
  const client = new pg.Client(server.admin)
  // Whoever ends the server ends this process.
  client.on('error', () => process.exit(1))
  await client.connect()
  process.send({ kind: 'ready', result: server })
} catch (error) {
  process.send({ kind: 'failed', code: error.code, message: error.stack }, () => process.exit(1))
}
