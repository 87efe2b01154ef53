"""Recomputes the root of a sealed topic. It shares no code with the connector.

Each line of the input is a record as JSON: role, and key and value in base64 (null
where there is none), in the order of audit_seq. It prints the root in base64.
"""
import base64, hashlib, json, sys


def field(b):
    return b"\xff\xff\xff\xff" if b is None else len(b).to_bytes(4, "big") + b


def leaf(role, key, value):
    return hashlib.sha256(b"\x00" + field(role.encode()) + field(key) + field(value)).digest()


def root(leaves):  # RFC 6962, 2.1
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()


def decode(text):
    return None if text is None else base64.b64decode(text)


records = [json.loads(line) for line in sys.stdin]
print(base64.b64encode(root([leaf(r["role"], decode(r["key"]), decode(r["value"])) for r in records])).decode())
