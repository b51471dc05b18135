/**
 * The action's main step from source, for which everything is large: a database of any size is dumped in parts, restored while the
 * dump goes on, and its archives are uploaded meanwhile.
 */
import { runAction } from '../../src/action/action.ts'
import { partSizes } from '../../src/migration/dump/part-sizes.ts'
import { defaultLimits } from '../../src/migration/kept/upload-limits.ts'
import { runOnNode24 } from '../../src/node-version.ts'

Object.assign(partSizes, { database: 1, table: 1, share: 0 })
Object.assign(defaultLimits, { early: 1 })
await runOnNode24(runAction)
