export { hasTestcontainers } from './package.ts'
export { type ContainerOptions, startContainer } from './start.ts'
export { type ContainerStatus, containerStatus, keepContainer, stopContainer } from './stop.ts'
