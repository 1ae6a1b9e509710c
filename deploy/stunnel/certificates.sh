#!/bin/sh
# Makes what tunnels prove themselves by: `certificates.sh FOLDER NAME...` adds NAME.pem (key and certificate) for each
# name to FOLDER, signed by the authority in it, which is made if there is none. Keep ca.key off the machines.
set -eu
folder=$1
shift
umask 077
mkdir -p "$folder"
cd "$folder"
[ -f ca.key ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -subj "/CN=gridsession tunnels" -keyout ca.key -out ca.pem 2>/dev/null
for name; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$name.key" -out "$name.csr" 2>/dev/null
    printf 'subjectAltName=DNS:%s\n' "$name" >"$name.ext"
    openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -extfile "$name.ext" -out "$name.crt" 2>/dev/null
    cat "$name.key" "$name.crt" >"$name.pem"
    rm "$name.key" "$name.csr" "$name.ext" "$name.crt"
done
