/** The contract of servers on a container. */
import { serverContract } from '../server/contract.ts'
import { missing, startForContract } from './lab.ts'

serverContract({
  name: 'a container',
  missing,
  can: { createDatabase: true, resetRows: true, endSessions: 'all' },
  start: startForContract,
})
