// Mints a click link. Usage: node mint.js BASE SECRET k=KEY c=CLICK a=AD ... d=URL (link order).
// --- snippet
const crypto = require('crypto');

const b64 = (data) => Buffer.from(data).toString('base64url');
const value = (name, text) =>
  name === 'd' ? b64(text)
  : /^[A-Za-z0-9._-][A-Za-z0-9._~-]*$/.test(text) ? text : '~' + b64(text);

function mint(base, secret, params) {
  const path = '/c?' + params.map(([name, text]) => `${name}=${value(name, text)}`).join('&');
  return `${base}${path}&s=${crypto.createHmac('sha256', secret).update(path).digest('base64url')}`;
}
// --- end

const cut = (arg) => [arg.slice(0, arg.indexOf('=')), arg.slice(arg.indexOf('=') + 1)];
console.log(mint(process.argv[2], process.argv[3], process.argv.slice(4).map(cut)));
