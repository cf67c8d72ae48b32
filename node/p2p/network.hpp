// SPDX-License-Identifier: Apache-2.0
// Authenticated connections to other nodes: send, broadcast, ask and answer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "core/result.hpp"
#include "node/p2p/address_book.hpp"
#include "node/p2p/kinds.hpp"
#include "node/runtime/log.hpp"
#include "node/runtime/runtime.hpp"

namespace trainyard::p2p {

/// A peer is its P2P identity key, proven inside the TLS handshake.
using PeerId = PublicKey;

/// The eight hex digits by which people tell peers apart.
[[nodiscard]] std::string short_name(const PeerId& peer);

struct Endpoint {
    std::string host;
    uint16_t port = 0;
    bool operator==(const Endpoint&) const = default;
};

/// "host:port" or "[v6]:port"; nullopt on anything else.
[[nodiscard]] std::optional<Endpoint> endpoint_from(std::string_view text);
/// The same of a node that others are to find: not with port 0, which only who listens may name.
[[nodiscard]] std::optional<Endpoint> peer_endpoint_from(std::string_view text);
[[nodiscard]] std::string to_string(const Endpoint& endpoint);

struct StaticPeer {
    Endpoint endpoint;
    PeerId id;
    bool operator==(const StaticPeer&) const = default;
};

/// "<66 hex digits of the key>@host:port"; nullopt on anything else.
[[nodiscard]] std::optional<StaticPeer> static_peer_from(std::string_view text);

enum class NetError : uint8_t {
    bad_listen_address,
    port_in_use,
    bad_identity_key,
    tls,  ///< OpenSSL could not make the certificate or context
};

struct NetFailure {
    NetError error;
    std::string detail;  ///< what, where, and what to do
};

enum class RequestError : uint8_t {
    not_connected,  ///< no such peer now, or it went away before the answer
    timed_out,
    throttled,    ///< the peer asks us to slow down
    unsupported,  ///< the peer does not serve this kind, or has not what was asked for
    queue_full,   ///< our own queue to it, or our table of requests
};

using Answer = Result<Bytes, RequestError>;
using OnAnswer = std::function<void(Answer)>;

/// Answers one request, once, from any thread. Dropped without use it answers `unsupported`.
class Responder {
public:
    void answer(Bytes payload) const;
    void refuse() const;    ///< we do not have it
    void throttle() const;  ///< we have too much to do; ask again later

    struct Impl;
    explicit Responder(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

private:
    std::shared_ptr<Impl> impl_;
};

using OnMessage = std::function<void(const PeerId&, Bytes)>;
using OnRequest = std::function<void(const PeerId&, Bytes, Responder)>;

struct PeerEvent {
    PeerId peer;
    bool is_up = false;
    std::string reason;  ///< why it went down
    /// The peer prefers a connection that shows our key and that this node did not make.
    bool to_another = false;
};
using OnPeer = std::function<void(const PeerEvent&)>;

/// Where a node has a peer from.
enum class Source : uint8_t {
    incoming,  ///< it dialled us
    settings,  ///< genesis, settings or operator: dialled until it answers
    seed,
    book,     ///< the address book
    carried,  ///< a validator that is reached through its sentry
};
[[nodiscard]] std::string_view to_string(Source source);

/// What people and `status` see of one connection.
struct PeerInfo {
    PeerId id;
    Endpoint endpoint;
    std::string agent;
    bool is_connected = false;
    bool is_inbound = false;
    Source source = Source::incoming;
    std::optional<PeerId> sentry;  ///< of a carried one
    uint64_t connected_ms = 0;     ///< length of this connection
    uint64_t round_trip_ms = 0;
    uint64_t bytes_sent = 0;
    uint64_t bytes_received = 0;
    uint64_t messages_dropped = 0;  ///< by our queues and their buckets
    std::array<size_t, kLanes> queued_bytes{};
    std::optional<int64_t> clock_ahead_ms;  ///< of ours, to half a round trip
    int score = 0;                          ///< 100 is spotless; at 0 the peer is banned
    std::string last_problem;
};

struct Ban {
    PeerId peer;
    uint64_t until_wall_ms = 0;  ///< unix milliseconds
    std::string reason;
    bool operator==(const Ban&) const = default;
};

struct LaneRate {
    uint64_t bytes_per_second;
    uint64_t burst_bytes;
};

struct NetworkOptions {
    Endpoint listen{"127.0.0.1", 0};    ///< port 0: any free one
    SecretKey identity;                 ///< the P2P key, used for nothing else
    Hash genesis;                       ///< names the chain; others are refused
    std::vector<StaticPeer> peers;      ///< dialled until connected; own entry is ignored
    std::string agent = "trainyard";    ///< at most 64 bytes
    std::vector<StaticPeer> seeds;      ///< asked for addresses while the book has none to try
    std::vector<PeerId> private_peers;  ///< never told of, always let in, carried if validators
    /// Has it a vote in this epoch or the next? Copies for validators behind sentries go to these
    /// alone. On the network's strand; empty: everybody has.
    std::function<bool(const PeerId&)> is_validator;
    std::vector<StaticPeer> sentries;    ///< if there are any, this node talks to them alone
    std::optional<AddressBook> book;     ///< of earlier runs
    std::function<void(Bytes)> on_book;  ///< once a minute, on the network's strand
    size_t outbound_max = 8;             ///< connections to nodes of the book and seeds
    size_t inbound_max = 64;             ///< connections from peers that are not configured
    size_t handshakes_max = 64;
    std::array<size_t, kLanes> queue_bytes_max{1u << 20, 16u << 20, 8u << 20, 4u << 20, 32u << 20};
    /// Of the lane bulk, to all peers together; beyond it a peer has one message there at most.
    size_t bulk_queues_bytes_max = 512u << 20;
    std::array<LaneRate, kLanes> rates{{{4u << 20, 8u << 20},
                                        {16u << 20, 32u << 20},
                                        {16u << 20, 32u << 20},
                                        {4u << 20, 8u << 20},
                                        {128u << 20, 128u << 20}}};
    /// What is read from one peer only to be dropped; above it we read no faster than this.
    LaneRate waste{1u << 20, 16u << 20};
    runtime::Duration handshake_timeout{5'000};
    runtime::Duration ping_interval{5'000};
    runtime::Duration idle_timeout{20'000};  ///< no byte received, or none of ours accepted
    runtime::Duration backoff_min{250};
    runtime::Duration backoff_max{15'000};
    runtime::Duration discovery_interval{1'000};
    runtime::Duration settle_time{2'000};    ///< of a connection, until its address counts as good
    runtime::Duration ask_interval{60'000};  ///< for addresses, while too few are known
    runtime::Duration answer_interval{30'000};  ///< of one peer's questions for addresses
    runtime::Duration ban_time{600'000};        ///< of a configured peer: a tenth
    std::vector<Ban> bans;                      ///< still in force from earlier runs
    /// All bans in force whenever one begins or is lifted; on the network's strand.
    std::function<void(const std::vector<Ban>&)> on_bans;
};

/// A node's connections. Every member may be called from any thread; handlers run on the strand
/// they were registered with and must be registered before `start`. Nothing here waits for a peer:
/// what cannot be queued is dropped and counted, the oldest first.
class Network {
public:
    Network(runtime::Runtime& runtime, NetworkOptions options, const runtime::Logger& logger);
    ~Network();
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    /// Messages of a kind that is not a request. Kinds nobody registered are ignored.
    void on(Kind kind, const runtime::Strand& strand, OnMessage handler);
    /// Requests of a kind; answer through the Responder.
    void on_request(Kind kind, const runtime::Strand& strand, OnRequest handler);
    /// Peers coming and going, in order.
    void on_peer(const runtime::Strand& strand, OnPeer handler);

    /// Listens, and begins to dial the static peers.
    [[nodiscard]] Result<Done, NetFailure> start();
    void stop();

    [[nodiscard]] const PeerId& id() const;
    [[nodiscard]] uint16_t port() const;  ///< after `start`: the port that listens

    void send(const PeerId& to, Kind kind, Bytes payload);
    void broadcast(Kind kind, Bytes payload);
    /// Asks one peer; `on_answer` is called exactly once on `strand` unless the network is stopped
    /// first.
    void request(const PeerId& to, Kind kind, Bytes payload, runtime::Duration timeout,
                 const runtime::Strand& strand, OnAnswer on_answer);

    /// Takes `points` of 100 from a peer's score, which regains one each second.
    void punish(const PeerId& peer, int points, std::string_view reason);

    /// Refuses a peer for so long, whatever its score. A second ban replaces the first.
    void ban(const PeerId& peer, runtime::Duration time, std::string_view reason);
    /// Lifts a ban and gives the peer its points back.
    void unban(const PeerId& peer);
    [[nodiscard]] std::vector<Ban> bans() const;  ///< in force, by id

    /// Dials a peer until it answers, as if the settings named it, until the node ends.
    void add_peer(const StaticPeer& peer);
    /// Ends that, and the connection.
    void remove_peer(const PeerId& peer);

    [[nodiscard]] std::vector<PeerInfo> peers()
        const;  ///< by id; also configured ones that are away
    [[nodiscard]] std::vector<PeerId> connected() const;  ///< by id
    [[nodiscard]] bool is_connected(const PeerId& peer) const;
    /// How far the clocks of at least three peers are ahead of ours: their median.
    [[nodiscard]] std::optional<int64_t> clock_ahead_ms() const;
    /// Addresses heard of, and found to answer.
    struct BookCounts {
        size_t heard = 0, tried = 0;
    };
    [[nodiscard]] BookCounts book_counts() const;
    /// For its file. Only before `start` and after the runtime has ended.
    [[nodiscard]] Bytes address_book() const;

    struct Impl;

private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace trainyard::p2p
