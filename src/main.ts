import { keepHeapSmall } from './heap.ts'
import { runOnNode24 } from './node-version.ts'

await runOnNode24(async () => {
  keepHeapSmall()
  const { runAction } = await import('./action/action.ts')
  await runAction()
})
