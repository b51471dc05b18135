/** From 0 to at least `most` seconds, in three to six steps that people count in. */
export function axisSteps(most: number): number[] {
  const nice = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200,
  ]
  const step = nice.find((step) => most / step <= 4) ?? Math.ceil(most / 4 / 86_400) * 86_400
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, index) => index * step)
}
