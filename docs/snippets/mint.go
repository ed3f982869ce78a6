// Mints a click link. Usage: go run mint.go BASE SECRET k=KEY c=CLICK a=AD ... d=URL (link order).
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// --- snippet
var b64 = base64.RawURLEncoding.EncodeToString
var plain = regexp.MustCompile(`^[A-Za-z0-9._-][A-Za-z0-9._~-]*$`)

func value(name, text string) string {
	if name == "d" {
		return b64([]byte(text))
	}
	if plain.MatchString(text) {
		return text
	}
	return "~" + b64([]byte(text))
}

func mint(base, secret string, params [][2]string) string {
	parts := make([]string, len(params))
	for i, p := range params {
		parts[i] = p[0] + "=" + value(p[0], p[1])
	}
	path := "/c?" + strings.Join(parts, "&")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(path))
	return base + path + "&s=" + b64(mac.Sum(nil))
}

// --- end

func main() {
	var params [][2]string
	for _, arg := range os.Args[3:] {
		name, text, _ := strings.Cut(arg, "=")
		params = append(params, [2]string{name, text})
	}
	fmt.Println(mint(os.Args[1], os.Args[2], params))
}
