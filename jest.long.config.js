import config from './jest.config.js'

/** What takes too long for every change: all seeds, all kills, one file after the other. */
export default {
  ...config,
  testMatch: ['**/long/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  maxWorkers: 1,
  testTimeout: 3_600_000,
}
