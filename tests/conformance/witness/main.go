// Command witness is the tlog-witness implementation of transparency-dev, for our conformance tests.
//
//	witness serve ORIGIN=VKEY     a witness on a free port; prints {"url": ..., "vkey": ...} and serves until stdin ends
//	witness open ORIGIN LOGVKEY WITNESSVKEY   opens the cosigned checkpoint on stdin; prints {"size": ..., "time": ...}
//	witness add URL ORIGIN LOGVKEY WITNESSVKEY OLDSIZE   sends the checkpoint on stdin to a witness, with an empty proof
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	flog "github.com/transparency-dev/formats/log"
	client "github.com/transparency-dev/witness/client/http"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2])
	case "open":
		open(os.Args[2], os.Args[3], os.Args[4])
	case "add":
		add(os.Args[2:])
	default:
		log.Fatalf("unknown command %s", os.Args[1])
	}
}

func serve(known string) {
	origin, vkey, _ := strings.Cut(known, "=")
	verifier := must(note.NewVerifier(vkey))
	skey, _, err := note.GenerateKey(rand.Reader, "witness.example/go")
	if err != nil {
		log.Fatal(err)
	}
	signer := must(fnote.NewSignerForCosignatureV1(skey))
	public := strings.SplitN(must2(skey), "+", 1)[0]
	w := must(witness.New(context.Background(), witness.Opts{
		Persistence: inmemory.New(),
		Signers:     []note.Signer{signer},
		VerifierForLog: func(_ context.Context, asked string) (note.Verifier, bool, error) {
			return verifier, asked == origin, nil
		},
	}))
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	handler := witness.NewHTTPHandler(w)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", handler.AddCheckpoint)
	print_(map[string]any{"url": "http://" + listener.Addr().String(), "vkey": public})
	go func() { log.Fatal(http.Serve(listener, mux)) }()
	_, _ = io.ReadAll(os.Stdin)
}
