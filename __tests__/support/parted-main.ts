/**
 * The action's main step from source, for which every table is large: a database of any size is dumped in parts, and restored
 * while the dump goes on.
 */
import { runAction } from '../../src/action/action.ts'
import { partSizes } from '../../src/migration/dump/part-sizes.ts'
import { runOnNode24 } from '../../src/node-version.ts'

Object.assign(partSizes, { database: 1, table: 1, share: 0 })
await runOnNode24(runAction)
