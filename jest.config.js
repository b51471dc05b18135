export default {
  roots: ['<rootDir>/__tests__'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/jest.transform.js' },
  testTimeout: 120_000, // real servers start and stop in tests; nothing asserts how fast
  collectCoverageFrom: ['src/**/*.ts'],
}
