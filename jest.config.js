export default {
  roots: ['<rootDir>/__tests__'],
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/__tests__/long/'], // npm run test:long
  extensionsToTreatAsEsm: ['.ts'],
  globalSetup: '<rootDir>/__tests__/support/run-directory.ts',
  transform: { '\\.ts$': '<rootDir>/jest.transform.js' },
  maxWorkers: '100%', // what takes long here waits for servers
  testTimeout: 120_000, // real servers start and stop in tests; nothing asserts how fast
  collectCoverageFrom: ['src/**/*.ts'],
}
