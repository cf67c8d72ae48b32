// SPDX-License-Identifier: Apache-2.0
// One connection: handshake, hello, frames in and out, pings, and its end.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "node/p2p/frame.hpp"
#include "node/p2p/messages.hpp"
#include "node/p2p/network.hpp"
#include "node/p2p/peer_rules.hpp"
#include "node/p2p/tls.hpp"

namespace trainyard::p2p {

/// Why a connection ended, and whether the peer broke the protocol.
struct Ending {
    std::string reason;
    bool is_offence = false;
};

/// Everything runs on the network's strand. The owner hears `on_ready` at most once, and
/// `on_closed` once, as soon as nothing more will be sent or delivered.
class Session : public std::enable_shared_from_this<Session> {
public:
    class Owner {
    public:
        virtual ~Owner() = default;
        virtual void on_ready(const std::shared_ptr<Session>& session) = 0;
        virtual void on_message(const std::shared_ptr<Session>& session, Message message) = 0;
        virtual void on_closed(const std::shared_ptr<Session>& session, const Ending& ending) = 0;
    };
    struct Setup {
        boost::asio::ip::tcp::socket socket;
        std::shared_ptr<const TlsContext> tls;
        std::weak_ptr<Owner> owner;
        runtime::Strand strand;
        const runtime::Clock& clock;
        const NetworkOptions& options;  ///< outlives every session: the owner's own
        Hello hello;                    ///< ours
        Endpoint remote;
        std::optional<Ip> ip;            ///< of the other end of the socket
        std::optional<PeerId> expected;  ///< of a connection that we dialled
    };

    explicit Session(Setup setup);

    void start();
    void send(Lane lane, Frame frame);
    /// Says why, gives the peer a second to read it, then closes.
    void leave(std::string reason, bool is_offence = false);
    void close(std::string reason, bool is_offence = false);
    /// Takes over what another connection to the same peer had not sent yet.
    void take_unsent_of(Session& other);
    /// False if the peer used up its budget of this lane.
    [[nodiscard]] bool take_tokens(Lane lane, uint64_t cost);
    void count_drop() { ++dropped_; }
    /// The message in hand was read for nothing. Who sends much of that waits: it is decrypted and
    /// decoded before it can be dropped.
    void note_waste();
    [[nodiscard]] size_t unsent_bytes(Lane lane) const { return unsent_.bytes(lane); }

    [[nodiscard]] bool is_inbound() const { return !setup_.expected; }
    [[nodiscard]] bool is_ready() const { return state_ == State::ready; }
    [[nodiscard]] const std::optional<PeerId>& expected() const { return setup_.expected; }
    [[nodiscard]] const PeerId& peer() const { return peer_; }  ///< known once TLS is up
    [[nodiscard]] const Hello& peer_hello() const { return peer_hello_; }
    [[nodiscard]] Link link() const { return {is_inbound(), peer_hello_.instance}; }
    [[nodiscard]] uint64_t begun_ms() const { return begun_ms_; }
    [[nodiscard]] uint64_t ready_since_ms() const { return ready_since_ms_; }
    [[nodiscard]] const std::optional<Ip>& ip() const { return setup_.ip; }
    /// May the peer be told addresses now? If so, not again for a while.
    [[nodiscard]] bool take_address_question();
    void describe(PeerInfo& info) const;

private:
    enum class State : uint8_t { handshaking, greeting, ready, leaving, closed };
    using Error = boost::system::error_code;

    void on_handshake(const Error& error);
    void on_hello(const Message& message);
    void on_frame(Message message);
    void on_pong(const Message& message);
    void on_tick();
    void read_header();
    void read_on();
    void read_envelope(const KindRow& row, size_t bytes_left);
    void on_envelope(const KindRow& row);
    void pump();
    void write_piece();
    void finish_leaving();
    void tell_owner();
    [[nodiscard]] uint64_t now_ms() const { return setup_.clock.steady_ms(); }

    Setup setup_;
    boost::asio::ssl::stream<boost::asio::ip::tcp::socket> stream_;
    runtime::Timer timer_, read_timer_;
    State state_ = State::handshaking;
    PeerId peer_;
    Hello peer_hello_;
    Ending ending_;
    bool has_told_owner_ = false;
    std::array<uint8_t, kFrameHeaderBytes> header_{};
    Bytes envelope_;
    LaneQueues unsent_;
    std::vector<TokenBucket> buckets_;
    TokenBucket waste_;
    uint64_t read_wait_ms_ = 0;  ///< before the next frame
    Frame current_;
    size_t current_offset_ = 0;
    bool is_writing_ = false;
    const uint64_t begun_ms_;
    uint64_t ready_since_ms_ = 0;
    uint64_t received_at_ms_ = 0;
    uint64_t written_at_ms_ = 0;
    uint64_t ping_sent_at_ms_ = 0;
    uint64_t round_trip_ms_ = 0;
    std::optional<int64_t> clock_ahead_ms_;
    std::optional<uint64_t> told_at_ms_;  ///< when the peer was last told addresses
    uint64_t bytes_sent_ = 0;
    uint64_t bytes_received_ = 0;
    uint64_t dropped_ = 0;
};

}  // namespace trainyard::p2p
