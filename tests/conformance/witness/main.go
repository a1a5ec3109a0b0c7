// Command witness is transparency-dev's implementation of C2SP tlog-witness, for our conformance tests.
//
//	witness serve ORIGIN LOGVKEY   a witness; prints {"url", "vkey"}, and serves until standard input ends
//	witness open ORIGIN LOGVKEY WITNESSVKEY   opens the cosigned checkpoint on standard input; prints {"size", "time"}
//	witness prove ORIGIN LOGVKEY LEAFHASH   checks the tlog-proof on standard input; prints {"index", "size"}
//	witness add URL OLDSIZE [HASH...]   sends the checkpoint on standard input to a witness; prints {"answer", "size", "error"}
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	logformat "github.com/transparency-dev/formats/log"
	noteformat "github.com/transparency-dev/formats/note"
	client "github.com/transparency-dev/witness/client/http"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2], os.Args[3])
	case "open":
		open(os.Args[2], os.Args[3], os.Args[4])
	case "prove":
		prove(os.Args[2], os.Args[3], os.Args[4])
	case "add":
		add(os.Args[2], os.Args[3], os.Args[4:])
	default:
		log.Fatalf("unknown command %s", os.Args[1])
	}
}

func serve(origin, logKey string) {
	verifier := must(note.NewVerifier(logKey))
	secret, public, err := note.GenerateKey(rand.Reader, "witness.example/go")
	check(err)
	w := must(witness.New(context.Background(), witness.Opts{
		Persistence: inmemory.New(),
		Signers:     []note.Signer{must(noteformat.NewSignerForCosignatureV1(secret))},
		VerifierForLog: func(_ context.Context, asked string) (note.Verifier, bool, error) {
			return verifier, asked == origin, nil
		},
	}))
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	tell(map[string]any{
		"url":  "http://" + listener.Addr().String(),
		"vkey": must(noteformat.VKeyToCosignatureV1(public)),
	})
	go func() { log.Fatal(http.Serve(listener, mux)) }()
	_, _ = io.ReadAll(os.Stdin)
}

func open(origin, logKey, witnessKey string) {
	cosigned := must(noteformat.NewVerifierForCosignatureV1(witnessKey))
	checkpoint, _, opened, err := logformat.ParseCheckpoint(
		must(io.ReadAll(os.Stdin)), origin, must(note.NewVerifier(logKey)), cosigned)
	check(err)
	for _, signature := range opened.Sigs {
		if signature.Hash == cosigned.KeyHash() {
			at := must(noteformat.CoSigV1Timestamp(signature))
			tell(map[string]any{"size": checkpoint.Size, "time": at.Unix()})
			return
		}
	}
	log.Fatal("no cosignature by that witness")
}

func prove(origin, logKey, leafHash string) {
	head, signed, _ := strings.Cut(string(must(io.ReadAll(os.Stdin))), "\n\n")
	lines := strings.Split(head, "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		log.Fatalf("this is a %s", lines[0])
	}
	index := must(strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64))
	path := tlog.RecordProof{}
	for _, line := range lines[2:] {
		path = append(path, must(tlog.ParseHash(line)))
	}
	checkpoint, _, _, err := logformat.ParseCheckpoint([]byte(signed), origin, must(note.NewVerifier(logKey)))
	check(err)
	root := tlog.Hash(checkpoint.Hash)
	check(tlog.CheckRecord(path, int64(checkpoint.Size), root, index, must(tlog.ParseHash(leafHash))))
	tell(map[string]any{"index": index, "size": checkpoint.Size})
}

func add(prefix, oldSize string, hashes []string) {
	proof := [][]byte{}
	for _, hash := range hashes {
		proof = append(proof, must(base64.StdEncoding.DecodeString(hash)))
	}
	old := must(strconv.ParseUint(oldSize, 10, 64))
	w := client.NewWitness(must(url.Parse(prefix)), http.DefaultClient)
	answer, size, err := w.Update(context.Background(), old, must(io.ReadAll(os.Stdin)), proof)
	names := map[error]string{
		witness.ErrCheckpointStale:  "stale",
		witness.ErrRootMismatch:     "root mismatch",
		witness.ErrUnknownLog:       "unknown log",
		witness.ErrNoValidSignature: "no valid signature",
		witness.ErrOldSizeInvalid:   "old size invalid",
		witness.ErrInvalidProof:     "invalid proof",
	}
	said := ""
	for known, name := range names {
		if errors.Is(err, known) {
			said = name
		}
	}
	if err != nil && said == "" {
		log.Fatal(err)
	}
	tell(map[string]any{"answer": string(answer), "size": size, "error": said})
}

func tell(document map[string]any) {
	check(json.NewEncoder(os.Stdout).Encode(document))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
