/** Public entry `testdb/notify`: a NOTIFY for each change of an application's table. */
export { type ErrorCode, isTestDbError, TestDbError } from '../errors.ts'
export { installNotifyTrigger, type NotifyTrigger } from './install.ts'
export type { NotifyTriggerOptions, TriggerPool } from './options.ts'
