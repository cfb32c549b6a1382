#!/usr/bin/env node
process.argv.splice(2, 0, 'healthkeep');
await import('./run.mjs');
