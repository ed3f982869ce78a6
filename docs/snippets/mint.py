"""Mints a click link. Usage: mint.py BASE SECRET k=KEY c=CLICK a=AD ... d=URL (link order)."""
import base64, hashlib, hmac, re, sys

# --- snippet
def b64(data): return base64.urlsafe_b64encode(data).decode().rstrip("=")

def value(name, text):
    if name == "d": return b64(text.encode())
    plain = re.fullmatch(r"[A-Za-z0-9._-][A-Za-z0-9._~-]*", text)
    return text if plain else "~" + b64(text.encode())

def mint(base, secret, params):
    path = "/c?" + "&".join(f"{name}={value(name, text)}" for name, text in params)
    signature = hmac.new(secret.encode(), path.encode(), hashlib.sha256)
    return base + path + "&s=" + b64(signature.digest())
# --- end

if __name__ == "__main__":
    print(mint(sys.argv[1], sys.argv[2], [arg.split("=", 1) for arg in sys.argv[3:]]))
