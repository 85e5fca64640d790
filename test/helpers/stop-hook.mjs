// Preloaded into any process (`node --import`, NODE_OPTIONS): blocks it at one step of a protocol until it is told to go on.
// See stop-at.ts. Of all processes that come by, one is stopped.
import { subscribe } from 'node:diagnostics_channel'
import { closeSync, openSync, readSync, renameSync, writeFileSync } from 'node:fs'

const { TESTDB_STOP_AT: wanted, TESTDB_STOP_FOLDER: folder, TESTDB_STOP_SKIP: skip = '0' } = process.env
let left = Number(skip)

if (wanted && folder) {
  subscribe('testdb:step.reached', ({ step }) => {
    if (step !== wanted || left-- > 0 || !claim()) return
    writeFileSync(`${folder}/pid.new`, String(process.pid))
    renameSync(`${folder}/pid.new`, `${folder}/pid`)
    // Opening a pipe for reading waits for its writer: the whole process stands still, as a stopped one does.
    const pipe = openSync(`${folder}/go`, 'r')
    readSync(pipe, Buffer.alloc(1))
    closeSync(pipe)
  })
}

function claim() {
  try {
    closeSync(openSync(`${folder}/claimed`, 'wx'))
    return true
  } catch {
    return false
  }
}
