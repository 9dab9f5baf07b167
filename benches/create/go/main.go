// The equivalent of bare.rs on grpc-go and net/http: no validation, ids or telemetry.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "bare/hubspotconnection"
)

type server struct {
	pb.UnimplementedHubSpotConnectionServiceServer
	client      *http.Client
	connections string
}

type params struct {
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
}

type auth struct {
	SpecName string `json:"specName"`
	Params   params `json:"params"`
}

type connectionSpec struct {
	ID      string `json:"id"`
	Version string `json:"version"`
}

type creation struct {
	Name           string         `json:"name"`
	Description    string         `json:"description"`
	Auth           auth           `json:"auth"`
	ConnectionSpec connectionSpec `json:"connectionSpec"`
}

type item struct {
	ID          string `json:"id"`
	Etag        string `json:"etag"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

func (s *server) CreateHubSpotConnection(ctx context.Context, request *pb.CreateHubSpotConnectionRequest) (*pb.CreateHubSpotConnectionResponse, error) {
	body, err := json.Marshal(creation{
		Name:        request.Name,
		Description: request.Description,
		Auth: auth{"Basic Authentication", params{
			request.Credentials.ClientId,
			request.Credentials.ClientSecret,
			request.Credentials.AccessToken,
			request.Credentials.RefreshToken,
		}},
		ConnectionSpec: connectionSpec{"cc6a4487-9e91-433e-a3a3-9cf6626c1806", "1.0"},
	})
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	var created item
	if err := s.send(ctx, http.MethodPost, s.connections, body, &created); err != nil {
		return nil, err
	}
	return &pb.CreateHubSpotConnectionResponse{Id: created.ID, Etag: created.Etag}, nil
}

func (s *server) GetHubSpotConnection(ctx context.Context, request *pb.GetHubSpotConnectionRequest) (*pb.GetHubSpotConnectionResponse, error) {
	var page struct {
		Items []item `json:"items"`
	}
	if err := s.send(ctx, http.MethodGet, s.connections+"/"+request.Id, nil, &page); err != nil {
		return nil, err
	}
	if len(page.Items) == 0 {
		return nil, status.Error(codes.NotFound, "no such connection")
	}
	found := page.Items[0]
	return &pb.GetHubSpotConnectionResponse{Connection: &pb.HubSpotConnection{
		Id: found.ID, Etag: found.Etag, Name: found.Name, Description: found.Description,
	}}, nil
}

func (s *server) send(ctx context.Context, method, url string, body []byte, result any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer bench")
	request.Header.Set("x-api-key", "bench")
	request.Header.Set("x-gw-ims-org-id", "1234@AdobeOrg")
	request.Header.Set("x-sandbox-name", "prod")
	response, err := s.client.Do(request)
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	if response.StatusCode >= 300 {
		return status.Error(codes.Unavailable, response.Status)
	}
	if err := json.Unmarshal(text, result); err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return nil
}

func serverCredentials(directory string) (credentials.TransportCredentials, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(directory, "server.pem"), filepath.Join(directory, "server-key.pem"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(directory, "ca.pem"))
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority)
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientCAs:    clients,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}), nil
}

func run() error {
	var options []grpc.ServerOption
	if directory := os.Getenv("BENCH_TLS"); directory != "" {
		creds, err := serverCredentials(directory)
		if err != nil {
			return err
		}
		options = append(options, grpc.Creds(creds))
	}
	// The default keeps two idle connections, far too few.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = 16384
	s := grpc.NewServer(options...)
	pb.RegisterHubSpotConnectionServiceServer(s, &server{
		client:      &http.Client{Transport: transport},
		connections: os.Getenv("BENCH_UPSTREAM") + "/connections",
	})
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("serving %s\n", listener.Addr())
	return s.Serve(listener)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
