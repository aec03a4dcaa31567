package gatewayredis

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// errContexts is a client whose reads outlast a context.
var errContexts = errors.New("the client ignores the ends of contexts: set its ContextTimeoutEnabled")

// obeysContexts refuses a client whose calls last as long as its own timeouts. A client
// of another type may do as it likes.
func obeysContexts(client redis.UniversalClient) error {
	obeys := true
	switch c := client.(type) {
	case *redis.Client:
		obeys = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		obeys = c.Options().ContextTimeoutEnabled
	case *redis.Ring:
		return errors.New("a Ring has no atomic steps over its shards: use one server or a Cluster")
	}
	if !obeys {
		return errContexts
	}
	return nil
}

// place names the store in errors.
func place(client redis.UniversalClient) string {
	switch c := client.(type) {
	case *redis.Client:
		return c.Options().Addr
	case *redis.ClusterClient:
		return strings.Join(c.Options().Addrs, ",")
	}
	return "the client's address"
}

// open makes a client of a URL.
func open(o Options) (redis.UniversalClient, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("the URL cannot be read") // its text may hold a password
	}
	if o.TLS != nil && u.Scheme != "rediss" {
		return nil, errors.New("Options.TLS goes with rediss://")
	}
	timeout := cmp.Or(o.Timeout, time.Second)
	query := u.Query()
	cluster := query.Get("cluster") == "true"
	query.Del("cluster")
	if query.Has("master_name") {
		return openSentinel(u, query, o, timeout)
	}
	u.RawQuery = query.Encode()
	if cluster {
		return openCluster(u.String(), o, timeout)
	}
	options, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, refused(err)
	}
	setTimes(&options.DialTimeout, &options.ReadTimeout, &options.WriteTimeout, timeout)
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = -1, 1 // Gateway.Run asks again
	options.PipelinePoolSize = -1
	options.MaintNotificationsConfig = quiet()
	if o.TLS != nil {
		own := options.TLSConfig
		options.TLSConfig = o.TLS.Clone()
		options.TLSConfig.ServerName = cmp.Or(o.TLS.ServerName, own.ServerName)
	}
	return redis.NewClient(options), nil
}

// openSentinel makes a client that asks sentinels for the master. User and password are
// for the servers, as everywhere; the parameters sentinel_username and
// sentinel_password are for the sentinels.
func openSentinel(u *url.URL, query url.Values, o Options, timeout time.Duration) (redis.UniversalClient, error) {
	sentinel, servers := url.UserPassword(query.Get("sentinel_username"), query.Get("sentinel_password")), u.User
	query.Del("sentinel_username")
	query.Del("sentinel_password")
	u.RawQuery, u.User = query.Encode(), nil
	options, err := redis.ParseFailoverURL(u.String())
	if err != nil {
		return nil, refused(err)
	}
	options.Username = servers.Username()
	options.Password, _ = servers.Password()
	options.SentinelUsername = sentinel.Username()
	options.SentinelPassword, _ = sentinel.Password()
	setTimes(&options.DialTimeout, &options.ReadTimeout, &options.WriteTimeout, timeout)
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = -1, 1
	options.PipelinePoolSize = -1
	if o.TLS != nil {
		options.TLSConfig = o.TLS.Clone()
	} else if options.TLSConfig != nil {
		// The servers have other names than the first sentinel. Each is checked by its own.
		options.TLSConfig.ServerName = ""
	}
	return redis.NewFailoverClient(options), nil
}

func openCluster(text string, o Options, timeout time.Duration) (redis.UniversalClient, error) {
	options, err := redis.ParseClusterURL(text)
	if err != nil {
		return nil, refused(err)
	}
	setTimes(&options.DialTimeout, &options.ReadTimeout, &options.WriteTimeout, timeout)
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = -1, 1
	options.PipelinePoolSize = -1
	options.MaintNotificationsConfig = quiet()
	if o.TLS != nil {
		options.TLSConfig = o.TLS.Clone()
	} else if options.TLSConfig != nil {
		options.TLSConfig.ServerName = ""
	}
	return redis.NewClusterClient(options), nil
}

// setTimes fills in what the URL does not say.
func setTimes(dial, read, write *time.Duration, timeout time.Duration) {
	*dial, *read, *write = cmp.Or(*dial, timeout), cmp.Or(*read, timeout), cmp.Or(*write, timeout)
}

// quiet leaves out a question that only one vendor's servers understand.
func quiet() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// refused is the error of a URL. go-redis names parts of it, which hold no password;
// url.Parse's errors have the whole.
func refused(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return errors.New("the URL cannot be read")
	}
	return fmt.Errorf("the URL: %w", err)
}
