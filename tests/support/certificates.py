"""A private CA and a certificate for localhost and 127.0.0.1, made with openssl."""

import subprocess


def make_certificates(folder, names_in_it="DNS:localhost,IP:127.0.0.1", days=2):
    """Return the paths of the PEM files `ca`, `ca_key`, `cert` and `key`, readable by any user."""
    folder.chmod(0o755)
    names = {name: folder / f"{name}.pem" for name in ("ca", "ca_key", "cert", "key", "request")}
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName={names_in_it}\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl(
        "req", "-x509", *curve, "-days", "2", "-subj", "/CN=test ca",
        "-keyout", names["ca_key"], "-out", names["ca"],
    )  # fmt: skip
    _openssl(
        "req", *curve, "-subj", "/CN=localhost", "-keyout", names["key"], "-out", names["request"]
    )
    _openssl(
        "x509", "-req", "-days", days, "-in", names["request"], "-CA", names["ca"],
        "-CAkey", names["ca_key"], "-CAcreateserial", "-extfile", extensions, "-out", names["cert"],
    )  # fmt: skip
    for path in names.values():
        path.chmod(0o644)
    return {name: str(names[name]) for name in ("ca", "ca_key", "cert", "key")}


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
