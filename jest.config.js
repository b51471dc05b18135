import { availableParallelism } from 'node:os'

const project = {
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/jest.transform.js' },
  globalSetup: '<rootDir>/__tests__/support/run-directory.ts',
  // the artifact client's process from a bundle, which starts much faster than the source
  moduleNameMapper: {
    '/artifact-program\\.ts$': '<rootDir>/__tests__/support/artifact-program.ts',
  },
}

/** A folder of tests as a project: `--selectProjects unit` runs it alone. */
export const folder = (displayName, name) => ({
  ...project,
  displayName,
  roots: ['<rootDir>/__tests__'],
  testMatch: [`<rootDir>/__tests__/${name}/**/*.test.ts`],
})

export default {
  projects: [
    // starts no server
    { ...folder('unit', 'unit'), setupFiles: ['<rootDir>/__tests__/support/remembered-keys.ts'] },
    folder('servers', 'integration'), // starts real servers
    folder('action', 'action'), // runs the bundle in dist/ as a runner does
  ],
  testSequencer: '<rootDir>/jest.sequencer.js',
  testTimeout: 300_000, // real servers start and stop in tests, on machines that do other work; nothing asserts how fast
  // half as many again as processors: what takes long here waits for servers and for time limits
  maxWorkers: Math.ceil(availableParallelism() * 1.5),
  // to begin a program takes the longer the larger the process is that begins it: a worker that has grown is replaced
  workerIdleMemoryLimit: '150MB',
  // a worker with nothing left to do may need more than Jest's half a second to exit where the processors are busy
  workerGracefulExitTimeout: 30_000,
  collectCoverageFrom: ['src/**/*.ts'],
}
