import { runAction } from './action/action.ts'

await runAction()
// sockets of a library may still be open; everything that matters has been written
process.exit()
