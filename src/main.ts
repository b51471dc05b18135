import { runOnNode24 } from './node-version.ts'

await runOnNode24(async () => {
  const { runAction } = await import('./action/action.ts')
  await runAction()
})
