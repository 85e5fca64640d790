/**
 * Where the container of a workspace and image is, for every process that looks for it.
 *
 *   <cache>/container-<image>/state.json   how to reach the running server (0600)
 *   <cache>/container-<image>/start.lock   held while starting or stopping
 *   <cache>/container-<image>/keep         there while `testdb up` wants the container to stay
 *   <cache>/container-<image>/server.log   Postgres' own log     <cache>/container-<image>/supervisor.log
 */
import { hostname } from 'node:os'
import path from 'node:path'
import { type CacheOptions, resolveCache, shortHash, userId } from '../embedded/locations.ts'
import type { ServerFiles } from '../owned/files.ts'
import { makeOwnFolder } from '../owned/folders.ts'

export interface ContainerFiles extends ServerFiles {
  /** Of the container, which the engine gives to one at a time, and of the cluster in it. */
  readonly name: string
  readonly image: string
  readonly serverLog: string
}

export const DEFAULT_IMAGE = 'postgres:18'

export async function containerFiles(options: CacheOptions, image: string): Promise<ContainerFiles> {
  const cacheDir = await resolveCache(options, undefined)
  const slug = `${image.replace(/[^\w.-]+/g, '_').slice(-40)}-${shortHash(image).slice(0, 6)}`
  const folder = path.join(cacheDir, `container-${slug}`)
  await makeOwnFolder(folder, 0o700)
  return {
    // Engines are shared by machines that may have the same folders.
    name: `testdb-${shortHash([hostname(), userId(), cacheDir, image].join('\n'))}`,
    image,
    folder,
    state: path.join(folder, 'state.json'),
    lock: path.join(folder, 'start.lock'),
    keep: path.join(folder, 'keep'),
    serverLog: path.join(folder, 'server.log'),
    supervisorLog: path.join(folder, 'supervisor.log'),
  }
}
