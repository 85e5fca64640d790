// Loaded into each process of Jest. A worker that does not end within half a second is ended by Jest with SIGTERM: then
// it says what it was kept alive by. A worker that is only slow, on a machine with much to do, has nothing to say.
const { writeSync } = require('node:fs')

if (process.env.JEST_WORKER_ID !== undefined && process.send !== undefined) {
  // Jest's own: the channel to its parent, what is printed. Postgres is reached by TCP in these tests.
  const own = new Set(['PipeWrap', 'TTYWrap'])
  process.on('SIGTERM', () => {
    const held = process.getActiveResourcesInfo().filter((name) => !own.has(name))
    if (held.length > 0) writeSync(2, `worker held by ${held.join(', ')}\n`)
    process.exit(1)
  })
}
