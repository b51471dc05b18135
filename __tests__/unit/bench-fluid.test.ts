import { expect, test } from '@jest/globals'
import { Simulation } from '../../bench/fluid.ts'

const machine = (cores: number) => ({ name: 'machine', cores })

test('processes under way share the processors evenly, and one has one at most', async () => {
  const simulation = new Simulation()
  const two = machine(2)
  const ends: number[] = []
  const work = [1, 1, 2].map(async (seconds) => {
    await simulation.run([{ machine: two, seconds }])
    ends.push(simulation.now)
  })
  await simulation.until(Promise.all(work))
  // two thirds of a processor each for 1.5 s, then a whole one for the second that is left
  expect(ends.map((end) => Number(end.toFixed(6)))).toEqual([1.5, 1.5, 2.5])
})

test('what a stage cannot use, since another one of its work is slower, goes to the others', async () => {
  const simulation = new Simulation()
  const [one, slow] = [machine(1), { name: 'link', cores: 0.25 }]
  const held = simulation.run([
    { machine: one, seconds: 1 },
    { machine: slow, seconds: 1 },
  ])
  const other = simulation.run([{ machine: one, seconds: 3 }]).then(() => simulation.now)
  await simulation.until(Promise.all([held, other]))
  expect(await other).toBeCloseTo(4)
  expect(simulation.now).toBeCloseTo(4)
})

test('work through several processes is as much faster as there are processors for them', async () => {
  const simulation = new Simulation()
  await simulation.until(simulation.run([{ machine: machine(3), seconds: 6, processes: () => 4 }]))
  expect(simulation.now).toBeCloseTo(2)
})

test('what follows other work never overtakes it, and ends no sooner', async () => {
  const simulation = new Simulation()
  const dump = simulation.begin([{ machine: machine(1), seconds: 4 }])
  const load = async () => {
    await simulation.sleep(2)
    const flow = simulation.begin([{ machine: machine(1), seconds: 1 }], dump)
    await simulation.sleep(1)
    expect(flow.done).toBeCloseTo(dump.done)
    await flow.ended
  }
  await simulation.until(load())
  expect(simulation.now).toBeCloseTo(4)
})

test('work that is given up ends at once, and leaves the machine to the others', async () => {
  const simulation = new Simulation()
  const one = machine(1)
  const flow = simulation.begin([{ machine: one, seconds: 4 }])
  const other = simulation.run([{ machine: one, seconds: 2 }])
  const giveUp = async () => {
    await simulation.sleep(1)
    simulation.giveUp(flow)
    await flow.ended
    expect(flow.done).toBeCloseTo(0.125)
  }
  await simulation.until(Promise.all([giveUp(), other]))
  expect(simulation.now).toBeCloseTo(2.5)
})

test('says so when nothing goes on any more', async () => {
  const simulation = new Simulation()
  await expect(simulation.until(new Promise(() => {}))).rejects.toThrow('nothing is under way')
})
