/** The suites run on the Node that the services run on, not on another version of the machine. */
export default function checkRuntime(): void {
  if (!process.version.startsWith('v24.')) {
    throw new Error(`tests run on Node 24, this is ${process.version}: use npm test`)
  }
}
