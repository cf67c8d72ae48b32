// SPDX-License-Identifier: Apache-2.0
// The state of a network behind its public face; all of it but what is marked lives on one strand.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <set>

#include <boost/asio/ip/tcp.hpp>

#include "node/p2p/network.hpp"
#include "node/p2p/peer_rules.hpp"
#include "node/p2p/routes.hpp"
#include "node/p2p/session.hpp"
#include "node/p2p/tls.hpp"

namespace trainyard::p2p {

struct Network::Impl final : Session::Owner, std::enable_shared_from_this<Network::Impl> {
    using Tcp = boost::asio::ip::tcp;
    using SessionPtr = std::shared_ptr<Session>;
    using Error = boost::system::error_code;

    // What one kind's handler has not handled yet; counted by the strand here, discounted by its
    // strand.
    struct Backlog {
        std::atomic<size_t> messages{0};
        std::atomic<size_t> bytes{0};
        void add(size_t size) { ++messages, bytes += size; }
        void remove(size_t size) { bytes -= size, --messages; }
    };
    struct Handler {
        runtime::Strand strand;
        OnMessage on_message;
        OnRequest on_request;
        Backlog backlog;
        /// The parts of it of each peer; here on the network's strand alone.
        std::map<PeerId, std::shared_ptr<Backlog>> backlog_of_peer{};
        std::optional<uint64_t> warned_at_ms{};
        [[nodiscard]] std::shared_ptr<Backlog> backlog_of(const PeerId& peer);
    };
    struct Dial {
        Dial(StaticPeer p, Source from, const runtime::Strand& strand)
            : peer(std::move(p)), source(from), timer(strand) {}
        /// Dialled until it answers; others are dialled once.
        [[nodiscard]] bool is_lasting() const { return source == Source::settings; }

        StaticPeer peer;
        Source source;
        runtime::Timer timer;
        unsigned failures = 0;
        bool is_noted = false;  // this connection's address is in the book as one that answers
        bool is_busy = false;   // between the start of an attempt and the end of what it gave
    };
    struct Pending {
        PeerId peer;
        Kind answer;
        runtime::Strand strand;
        OnAnswer on_answer;
        runtime::Timer timer;
    };

    Impl(runtime::Runtime& runtime_in, NetworkOptions options_in, const runtime::Logger& logger);

    // network_listen.cpp: connections begin and end
    Result<Done, NetFailure> start();
    void stop();
    void accept();
    void make_room_for_greeting();
    void adopt(Tcp::socket socket, std::optional<PeerId> expected, Endpoint remote);
    void add_dial(const StaticPeer& peer);
    void remove_dial(const PeerId& peer);
    void dial(const PeerId& peer);
    void connect(Dial& to, const Tcp::resolver::results_type& addresses);
    void dial_failed(const PeerId& peer, const std::string& reason);
    void dial_later(const PeerId& peer);
    void on_ready(const SessionPtr& session) override;
    std::optional<std::string> objection(const Session& session);
    void on_closed(const SessionPtr& session, const Ending& ending) override;
    void came_up(const SessionPtr& session);
    [[nodiscard]] bool is_to_another(const PeerId& peer, const Ending& ending) const;
    void went_down(const PeerId& peer, const std::string& reason, bool to_another);

    // network_discovery.cpp: addresses of other nodes
    void discover();
    void dial_once(const StaticPeer& peer, Source source);
    void dial_seed();
    void meet(const Session& session);
    void note_settled();
    void note_answered(const Session& session, const Dial& dial);
    void ask_for_addresses(const PeerId& peer);
    void on_told(const PeerId& peer, const Answer& answer);
    void tell_addresses(const SessionPtr& session, uint64_t request_id);
    void save_book();
    [[nodiscard]] bool is_secret(const PeerId& peer) const;
    [[nodiscard]] size_t outbound_count() const;

    // network_routes.cpp: messages through sentries
    void send_message(const PeerId& to, const KindRow& row, const Frame& frame,
                      const std::shared_ptr<const Bytes>& payload);
    void broadcast(const KindRow& row, const Frame& frame,
                   const std::shared_ptr<const Bytes>& payload);
    [[nodiscard]] bool may_be_validator(const PeerId& peer) const {
        return !options.is_validator || options.is_validator(peer);
    }
    [[nodiscard]] std::vector<PeerId> carried_validators() const;
    void send_routed(const PeerId& via, const Routed& routed);
    [[nodiscard]] bool is_sentry(const PeerId& peer) const;
    void grant_permits();
    void on_permit(const SessionPtr& session, const Message& message);
    void take_charge(const SessionPtr& session, const Permit& permit, const Bytes& payload);
    void take_route(const SessionPtr& session, const Permit& permit);
    void on_no_route(const SessionPtr& session, const Message& message);
    void on_routed(const SessionPtr& session, const Message& message);
    void fan_out(const SessionPtr& from, const Routed& routed);
    void deliver(const Routed& routed);
    void show_permits(const SessionPtr& session);
    void end_charge(const PeerId& validator);
    void change_routes(const std::function<void()>& change);
    void note_carried(const PeerId& validator);

    // network_impl.cpp: messages
    void on_message(const SessionPtr& session, Message message) override;
    void on_answer_frame(const SessionPtr& session, Message message);
    void hand_to(const std::shared_ptr<Handler>& handler, const PeerId& peer, Message message);
    void send(const PeerId& to, Lane lane, Frame frame);
    [[nodiscard]] bool is_bulk_full() const;
    void request(const PeerId& to, Kind kind, const Bytes& payload, runtime::Duration timeout,
                 const runtime::Strand& on, OnAnswer on_answer);
    void settle(uint64_t request_id, Answer answer);
    void punish(const PeerId& peer, int points, const std::string& reason);
    void ban(const PeerId& peer, uint64_t time_ms, const std::string& reason);
    void unban(const PeerId& peer);
    void send_off(const PeerId& peer, uint64_t time_ms, const std::string& reason);
    void note_bans();

    // What people see.
    void announce(const PeerEvent& event);
    void note_problem(const PeerId& peer, const std::string& reason);
    void refresh();
    void watch_clock();
    [[nodiscard]] std::optional<int64_t> clock_ahead_ms() const;  // any thread

    [[nodiscard]] uint64_t now_ms() const { return runtime.clock().steady_ms(); }
    [[nodiscard]] uint64_t wall_s() const { return runtime.clock().wall_ms() / 1000; }
    [[nodiscard]] bool is_configured(const PeerId& peer) const;
    [[nodiscard]] bool hides() const { return !options.sentries.empty(); }

    runtime::Runtime& runtime;
    const NetworkOptions options;
    const runtime::Logger log;
    const runtime::Strand strand;
    const PeerId self;
    std::shared_ptr<const TlsContext> tls;
    Tcp::acceptor acceptor;
    Tcp::resolver resolver;
    runtime::Timer refresh_timer, discovery_timer, permit_timer;
    std::mt19937_64 random;
    const uint64_t instance;
    uint64_t last_request_id = 0;
    Scores scores;
    AddressBook book;
    unsigned seed_failures = 0;
    size_t next_seed = 0;
    uint64_t next_seed_at_ms = 0, next_question_at_ms = 0, book_saved_at_ms = 0;
    std::optional<uint64_t> clock_warned_at_ms;
    Routes routes;                          // that others have shown
    std::map<PeerId, Bytes> charges;        // permits of the validators that this node carries for
    std::set<SessionPtr> greeting;          // not ready yet
    std::map<PeerId, SessionPtr> sessions;  // ready, one for each peer
    std::map<PeerId, Dial> dials;           // of configured peers, and of those being tried
    std::map<uint64_t, Pending> pending;
    std::map<Kind, std::shared_ptr<Handler>> handlers;              // fixed before start
    std::vector<std::pair<runtime::Strand, OnPeer>> peer_handlers;  // fixed before start

    // Any thread.
    std::atomic<uint16_t> port{0};
    std::atomic<bool> is_stopped{false};
    mutable std::mutex infos_mutex;
    std::map<PeerId, PeerInfo> infos;  // connected and configured peers
    BookCounts book_counts;
    std::vector<Ban> bans;  // in force when one last began or was lifted
};

struct Responder::Impl {
    Impl(std::weak_ptr<Network::Impl> network_in, const PeerId& peer_in, uint64_t id, Kind kind)
        : network(std::move(network_in)), peer(peer_in), request_id(id), answer_kind(kind) {}
    ~Impl() { refuse(RequestError::unsupported); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void answer(const Bytes& payload);
    void refuse(RequestError why);
    void reply(Kind kind, const Bytes& payload);

    const std::weak_ptr<Network::Impl> network;
    const PeerId peer;
    const uint64_t request_id;
    const Kind answer_kind;
    std::atomic<bool> is_used{false};
};

}  // namespace trainyard::p2p
