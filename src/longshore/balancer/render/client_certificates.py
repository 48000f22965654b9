"""What targets are told about the certificates that clients prove themselves with (X-Amzn-Mtls-Clientcert…). Pure.

Whatever a client sends under these names itself goes no further. With `verify`, parts of a verified certificate are told; with
`passthrough` all that the client has shown, unverified: to take that apart needs Lua, and without Lua only its own certificate
is told. Certificates are PEM with line ends and blanks as in URLs, and with `+`, `=` and `/` as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.balancer.render.bodies import Bodies
from longshore.balancer.render.listener_attributes import request_header
from longshore.balancer.snapshot import Front
from longshore.balancer.words import quoted

_BEGIN = "-----BEGIN%%20CERTIFICATE-----%%0A"
_END = "%%0A-----END%%20CERTIFICATE-----%%0A"
_LEAF = _BEGIN + '%[ssl_c_der,base64,regsub("(.{64})","\\1%0A",g),regsub("%0A$","")]' + _END
#: the year has two digits until 2049, and four from then on
_TIME = (
    'regsub("^(..)(..)(..)(..)(..)(..)Z$","20\\1-\\2-\\3T\\4:\\5:\\6Z"),'
    'regsub("^([0-9]{4})(..)(..)(..)(..)(..)Z$","\\1-\\2-\\3T\\4:\\5:\\6Z")'
)
#: header -> value, with `verify`
_VERIFIED = {
    "x_amzn_mtls_clientcert_serial_number": "%[ssl_c_serial,hex]",
    "x_amzn_mtls_clientcert_issuer": "%[ssl_c_i_dn(,0,rfc2253)]",
    "x_amzn_mtls_clientcert_subject": "%[ssl_c_s_dn(,0,rfc2253)]",
    "x_amzn_mtls_clientcert_validity": f"NotBefore=%[ssl_c_notbefore,{_TIME}];NotAfter=%[ssl_c_notafter,{_TIME}]",
    "x_amzn_mtls_clientcert_leaf": _LEAF,
}
_SHOWN = "x_amzn_mtls_clientcert"
#: one text of all certificates that a client has shown, its own first: DER one after the other comes in
_CHAIN = b"""\
local function pem(txn, der)
  local text = txn.c:base64(der):gsub(("."):rep(64), "%0%%0A"):gsub("%%0A$", "")
  return "-----BEGIN%20CERTIFICATE-----%0A" .. text .. "%0A-----END%20CERTIFICATE-----%0A"
end

core.register_fetches("client_chain", function(txn)
  local rest = (txn.f:ssl_c_der() or "") .. (txn.f:ssl_c_chain_der() or "")
  local found = {}
  while #rest > 4 do
    local head, length = 2, rest:byte(2)
    if length >= 128 then
      head, length = 2 + length - 128, 0
      for i = 3, head do length = length * 256 + rest:byte(i) end
    end
    found[#found + 1] = pem(txn, rest:sub(1, head + length))
    rest = rest:sub(head + length + 1)
  end
  return table.concat(found)
end)
"""


def client_certificate_lines(front: Front) -> list[str]:
    mode = front.client_certificates if front.is_tls else "off"
    if mode == "off":
        return []
    names = [request_header(front, name) for name in (*_VERIFIED, _SHOWN)]
    lines = ["http-request del-header X-Amzn-Mtls -m beg", *(f"http-request del-header {name}" for name in dict.fromkeys(names))]
    known = "if { ssl_c_used }"

    def told(name: str, value: str) -> str:
        return f"http-request set-header {request_header(front, name)} {value} {known}"

    if mode == "verify":
        return [*lines, *(told(name, quoted(value)) for name, value in _VERIFIED.items())]
    chain, leaf = told(_SHOWN, "%[lua.client_chain]"), told(_SHOWN, quoted(_LEAF))
    return [*lines, ".if feature(LUA)", chain, ".else", leaf, ".endif"]


def chain_lines(fronts: Iterable[Front], bodies: Bodies) -> list[str]:
    """For the section `global`, where any listener hands on what clients show."""
    if not any(front.is_tls and front.client_certificates == "passthrough" for front in fronts):
        return []
    return [".if feature(LUA)", f"lua-load {quoted(bodies.path_of(_CHAIN, '.lua'))}", ".endif"]
