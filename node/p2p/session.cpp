// SPDX-License-Identifier: Apache-2.0
// The life of one connection on Asio.
#include "node/p2p/session.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/error.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl/error.hpp>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace trainyard::p2p {
namespace asio = boost::asio;

namespace {

// Read and written in steps, so that memory follows what arrived and progress is seen inside a
// frame.
constexpr size_t kReadStepBytes = 64u << 10;
constexpr size_t kWriteStepBytes = 128u << 10;
// Small frames that wait together travel together.
constexpr size_t kBatchBytes = 16u << 10;
constexpr runtime::Duration kLingerTime{1'000};

std::string describe_error(const boost::system::error_code& error) {
    if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) {
        return "connection closed by the peer";
    }
    if (error.category() == asio::error::get_ssl_category()) {
        const int reason = ERR_GET_REASON(static_cast<unsigned long>(error.value()));
        if (reason == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL ||
            reason == SSL_R_NO_APPLICATION_PROTOCOL) {
            return "another chain: the genesis hash or protocol version differs";
        }
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) return "the peer's identity is not proven";
    }
    return error.message();
}

}  // namespace

Session::Session(Setup setup)
    : setup_(std::move(setup)),
      stream_(std::move(setup_.socket), SSL_new(setup_.tls->native())),
      timer_(setup_.strand),
      read_timer_(setup_.strand),
      unsent_(setup_.options.queue_bytes_max),
      waste_(setup_.options.waste.bytes_per_second, setup_.options.waste.burst_bytes, now_ms()),
      begun_ms_(now_ms()),
      received_at_ms_(now_ms()),
      written_at_ms_(now_ms()) {
    for (const LaneRate& rate : setup_.options.rates) {
        buckets_.emplace_back(rate.bytes_per_second, rate.burst_bytes, now_ms());
    }
}

void Session::start() {
    Error ignored;
    stream_.next_layer().set_option(asio::ip::tcp::no_delay(true), ignored);
    timer_.start(setup_.options.handshake_timeout,
                 [self = shared_from_this()] { self->close("no handshake in time"); });
    using Stream = asio::ssl::stream_base;
    stream_.async_handshake(
        is_inbound() ? Stream::server : Stream::client,
        [self = shared_from_this()](const Error& error) { self->on_handshake(error); });
}

void Session::on_handshake(const Error& error) {
    if (state_ != State::handshaking) return;
    if (error) return close(describe_error(error));
    const auto identity = peer_identity(stream_.native_handle(), setup_.tls->protocol());
    if (!identity) return close(std::string(to_string(identity.error())));
    peer_ = *identity;
    if (setup_.expected && *setup_.expected != peer_) {
        return close("wrong identity: expected " + to_hex(setup_.expected->bytes) + ", found " +
                     to_hex(peer_.bytes));
    }
    state_ = State::greeting;
    send(Lane::votes, encode_frame(Kind::hello, 0, encode_hello(setup_.hello)));
    read_header();
}

void Session::read_header() {
    asio::async_read(stream_, asio::buffer(header_),
                     [self = shared_from_this()](const Error& error, size_t) {
                         if (self->state_ == State::closed) return;
                         if (error) return self->close(describe_error(error));
                         const auto header = decode_header(self->header_);
                         if (!header) {
                             return self->leave(std::string(to_string(header.error())), true);
                         }
                         self->envelope_.clear();
                         self->read_envelope(*header->row, header->envelope_bytes);
                     });
}

void Session::read_envelope(const KindRow& row, size_t bytes_left) {
    if (bytes_left == 0) return on_envelope(row);
    const size_t have = envelope_.size();
    const size_t step = std::min(bytes_left, kReadStepBytes);
    envelope_.resize(have + step);
    asio::async_read(
        stream_, asio::buffer(envelope_.data() + have, step),
        [self = shared_from_this(), &row, left = bytes_left - step](const Error& error, size_t) {
            if (self->state_ == State::closed) return;
            if (error) return self->close(describe_error(error));
            self->received_at_ms_ = self->now_ms();
            self->read_envelope(row, left);
        });
}

void Session::on_envelope(const KindRow& row) {
    received_at_ms_ = now_ms();
    bytes_received_ += kFrameHeaderBytes + envelope_.size();
    auto message = decode_envelope(row, envelope_);
    if (!message && state_ != State::leaving) {
        return leave(std::string(to_string(message.error())), true);
    }
    if (state_ == State::greeting) {
        on_hello(*message);
    } else if (state_ == State::ready) {
        on_frame(std::move(*message));
    }
    if (state_ != State::closed) read_on();
}

/// What comes meanwhile waits in the peer: its own lanes put votes first.
void Session::read_on() {
    const uint64_t wait_ms = std::exchange(read_wait_ms_, 0);
    if (wait_ms == 0) return read_header();
    read_timer_.start(runtime::Duration(wait_ms), [self = shared_from_this()] {
        if (self->state_ != State::closed) self->read_header();
    });
}

void Session::note_waste() {
    constexpr uint64_t kLeastCost = 64;
    const uint64_t cost = kLeastCost + kFrameHeaderBytes + envelope_.size();
    read_wait_ms_ = std::max(read_wait_ms_, waste_.charge(cost, now_ms()));
}

void Session::on_hello(const Message& message) {
    if (message.kind == Kind::goodbye) {
        return close("refused: " + decode_goodbye(message.payload).value_or("no reason given"));
    }
    const auto hello = message.kind == Kind::hello ? decode_hello(message.payload) : std::nullopt;
    if (!hello) return close("no hello", true);
    if (hello->genesis != setup_.hello.genesis) return leave("another genesis block");
    peer_hello_ = *hello;
    state_ = State::ready;
    ready_since_ms_ = now_ms();
    on_tick();
    if (const auto owner = setup_.owner.lock()) owner->on_ready(shared_from_this());
}

void Session::on_frame(Message message) {
    switch (message.kind) {
        case Kind::hello:
            return leave("a second hello", true);
        case Kind::goodbye:
            return close("goodbye: " + decode_goodbye(message.payload).value_or("no reason given"));
        case Kind::ping:
            if (message.payload.size() != sizeof(uint64_t))
                return leave("a ping has 8 bytes", true);
            if (take_tokens(Lane::votes, message.payload.size())) {
                append_le(message.payload, setup_.clock.wall_ms());
                send(Lane::votes, encode_frame(Kind::pong, 0, message.payload));
            }
            return;
        case Kind::pong:
            return on_pong(message);
        default:
            break;
    }
    if (const auto owner = setup_.owner.lock()) {
        owner->on_message(shared_from_this(), std::move(message));
    }
}

void Session::on_pong(const Message& message) {
    if (message.payload.size() != 2 * sizeof(uint64_t)) return leave("a pong has 16 bytes", true);
    if (load_le<uint64_t>(message.payload.data()) != ping_sent_at_ms_) return note_waste();
    round_trip_ms_ = now_ms() - ping_sent_at_ms_;
    // The peer read its clock half a round trip ago, as far as one can tell.
    const auto theirs = load_le<uint64_t>(message.payload.data() + sizeof(uint64_t));
    clock_ahead_ms_ = static_cast<int64_t>(theirs + round_trip_ms_ / 2 - setup_.clock.wall_ms());
}

void Session::on_tick() {
    const auto idle_ms = static_cast<uint64_t>(setup_.options.idle_timeout.count());
    if (now_ms() - received_at_ms_ > idle_ms) return close("silent for too long");
    if (is_writing_ && now_ms() - written_at_ms_ > idle_ms) return close("does not read");
    ping_sent_at_ms_ = now_ms();
    Bytes payload;
    append_le(payload, ping_sent_at_ms_);
    send(Lane::votes, encode_frame(Kind::ping, 0, payload));
    timer_.start(setup_.options.ping_interval, [self = shared_from_this()] { self->on_tick(); });
}

void Session::send(Lane lane, Frame frame) {
    if (state_ == State::closed || state_ == State::leaving) return;
    unsent_.push(lane, std::move(frame));
    pump();
}

void Session::pump() {
    if (is_writing_ || state_ == State::closed) return;
    current_ = unsent_.pop();
    if (!current_) {
        if (state_ == State::leaving) finish_leaving();
        return;
    }
    if (current_->size() < kBatchBytes && !unsent_.empty()) {
        Bytes batch = *current_;
        while (batch.size() < kBatchBytes) {
            const Frame next = unsent_.pop();
            if (!next) break;
            append(batch, *next);
        }
        current_ = std::make_shared<const Bytes>(std::move(batch));
    }
    current_offset_ = 0;
    is_writing_ = true;
    written_at_ms_ = now_ms();
    write_piece();
}

void Session::write_piece() {
    const size_t step = std::min(current_->size() - current_offset_, kWriteStepBytes);
    stream_.async_write_some(asio::buffer(current_->data() + current_offset_, step),
                             [self = shared_from_this()](const Error& error, size_t written) {
                                 if (self->state_ == State::closed) return;
                                 if (error) return self->close(describe_error(error));
                                 self->written_at_ms_ = self->now_ms();
                                 self->bytes_sent_ += written;
                                 self->current_offset_ += written;
                                 if (self->current_offset_ < self->current_->size()) {
                                     return self->write_piece();
                                 }
                                 self->is_writing_ = false;
                                 self->pump();
                             });
}

void Session::leave(std::string reason, bool is_offence) {
    if (state_ == State::closed || state_ == State::leaving) return;
    if (state_ == State::handshaking) return close(std::move(reason), is_offence);
    ending_ = {std::move(reason), is_offence};
    unsent_ = LaneQueues(setup_.options.queue_bytes_max);
    unsent_.push(Lane::votes, encode_frame(Kind::goodbye, 0, encode_goodbye(ending_.reason)));
    state_ = State::leaving;
    timer_.start(kLingerTime, [self = shared_from_this()] { self->close("left"); });
    pump();
    tell_owner();
}

void Session::finish_leaving() {
    Error ignored;
    stream_.next_layer().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

void Session::close(std::string reason, bool is_offence) {
    if (state_ == State::closed) return;
    if (state_ != State::leaving) ending_ = {std::move(reason), is_offence};
    state_ = State::closed;
    timer_.cancel();
    read_timer_.cancel();
    Error ignored;
    stream_.next_layer().close(ignored);
    tell_owner();
}

void Session::tell_owner() {
    if (std::exchange(has_told_owner_, true)) return;
    if (const auto owner = setup_.owner.lock()) owner->on_closed(shared_from_this(), ending_);
}

void Session::take_unsent_of(Session& other) {
    std::swap(unsent_, other.unsent_);
    pump();
}

bool Session::take_tokens(Lane lane, uint64_t cost) {
    if (buckets_[static_cast<size_t>(lane)].take(cost, now_ms())) return true;
    ++dropped_;
    note_waste();
    return false;
}

bool Session::take_address_question() {
    const auto every_ms = static_cast<uint64_t>(setup_.options.answer_interval.count());
    if (told_at_ms_ && now_ms() - *told_at_ms_ < every_ms) return false;
    told_at_ms_ = now_ms();
    return true;
}

void Session::describe(PeerInfo& info) const {
    info.id = peer_;
    info.endpoint = setup_.remote;
    info.agent = peer_hello_.agent;
    info.is_inbound = is_inbound();
    info.connected_ms = now_ms() - ready_since_ms_;
    info.round_trip_ms = round_trip_ms_;
    info.bytes_sent = bytes_sent_;
    info.bytes_received = bytes_received_;
    info.messages_dropped = dropped_ + unsent_.dropped();
    for (size_t lane = 0; lane < kLanes; ++lane)
        info.queued_bytes[lane] = unsent_.bytes(static_cast<Lane>(lane));
    info.clock_ahead_ms = clock_ahead_ms_;
}

}  // namespace trainyard::p2p
