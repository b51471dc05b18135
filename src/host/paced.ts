/** Shows the newest of many lines at most every so often, and always the last one. */
export class Paced {
  private last = 0
  private waiting: NodeJS.Timeout | undefined
  private readonly pace: number
  private readonly show: (line: string) => void

  /** @param pace milliseconds between two lines */
  constructor(pace: number, show: (line: string) => void) {
    this.pace = pace
    this.show = show
  }

  update(line: string): void {
    clearTimeout(this.waiting)
    const show = () => {
      this.last = Date.now()
      this.show(line)
    }
    const due = this.last + this.pace - Date.now()
    if (due <= 0) show()
    else this.waiting = setTimeout(show, due)
    this.waiting?.unref()
  }

  /** What waits to be shown is no longer of interest. */
  settle(): void {
    clearTimeout(this.waiting)
    this.waiting = undefined
  }
}
