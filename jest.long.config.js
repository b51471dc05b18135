import { folder } from './jest.config.js'

/** What takes too long for every change: all seeds, all kills, one file after the other. */
export default {
  projects: [folder('long', 'long')],
  maxWorkers: 1,
  testTimeout: 3_600_000,
}
