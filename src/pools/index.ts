/** Public entry `testdb/pools`: pools for an application's own work. */
export { createPool, type PoolOptions } from './create-pool.ts'
