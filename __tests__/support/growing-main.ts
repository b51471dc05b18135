/**
 * The action's main step from source, for which a table of a megabyte is huge: it is dumped into a part of its own, and loaded while
 * that is written.
 */
import { runAction } from '../../src/action/action.ts'
import { partSizes } from '../../src/migration/dump/part-sizes.ts'
import { streamSizes } from '../../src/migration/restore/stream-sizes.ts'
import { aheadSizes } from '../../src/migration/verify/rows/ahead-sizes.ts'
import { runOnNode24 } from '../../src/node-version.ts'

Object.assign(partSizes, { database: 1, table: 1024 * 1024, share: 0 })
Object.assign(streamSizes, { from: 20_000, piece: 8192 })
Object.assign(aheadSizes, { from: 20_000, piece: 512 * 1024 })
await runOnNode24(runAction)
