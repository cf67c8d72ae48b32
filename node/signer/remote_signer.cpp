// SPDX-License-Identifier: Apache-2.0
// Requests over one connection, made anew when it breaks.
#include "node/signer/remote_signer.hpp"

#include <thread>

namespace trainyard::node::signer {
namespace {

constexpr uint64_t kTryAgainMs = 500;
constexpr std::chrono::milliseconds kStartPause{200};

}  // namespace

Result<std::unique_ptr<RemoteSigner>, std::string> RemoteSigner::open(Options options,
                                                                      const runtime::Clock& clock,
                                                                      uint32_t patience_ms) {
    std::unique_ptr<RemoteSigner> out(new RemoteSigner(std::move(options), clock));
    const uint64_t deadline_ms = clock.steady_ms() + patience_ms;
    const std::lock_guard lock(out->asking_);
    while (!out->connect()) {
        if (clock.steady_ms() > deadline_ms)
            return unexpected("the signer at " + to_string(out->options_.address) +
                              " does not answer: " + out->trouble() +
                              "; start `trainyard signer` first");
        std::this_thread::sleep_for(kStartPause);
    }
    return out;
}

bool RemoteSigner::connect() {
    if (clock_.steady_ms() < next_try_ms_) return false;
    next_try_ms_ = clock_.steady_ms() + kTryAgainMs;
    auto channel = Channel::connect(options_.address, options_.tls.get(), options_.timeout_ms);
    if (!channel) return lose(channel.error()), false;
    channel_ = std::move(*channel);
    const auto reply = exchange(HelloRequest{options_.chain});
    if (!reply) return false;
    const auto* keys = std::get_if<KeysReply>(&*reply);
    if (keys == nullptr) return lose("it signs for another chain"), false;
    if (keys_ != KeysReply{} && *keys != keys_) return lose("it holds other keys now"), false;
    keys_ = *keys;
    {
        const std::lock_guard lock(mutex_);
        trouble_.clear();
    }
    if (options_.on_change) options_.on_change("");
    return true;
}

void RemoteSigner::lose(const std::string& why) {
    channel_.reset();
    bool is_news = false;
    {
        const std::lock_guard lock(mutex_);
        is_news = trouble_.empty();
        trouble_ = why;
    }
    if (is_news && options_.on_change) options_.on_change(why);
}

std::optional<Reply> RemoteSigner::exchange(const Request& request) {
    if (!channel_->write_frame(encode_request(request)))
        return lose("the connection is closed"), std::nullopt;
    const auto frame = channel_->read_frame();
    if (!frame) return lose("no answer in time, or the connection is closed"), std::nullopt;
    const auto reply = decode_reply(*frame);
    if (!reply) return lose("what it sent is no answer"), std::nullopt;
    return *reply;
}

std::optional<Reply> RemoteSigner::ask(const Request& request) {
    const std::lock_guard lock(asking_);
    if (channel_) {
        if (auto reply = exchange(request)) return reply;
        next_try_ms_ = 0;  // a signer that was restarted answers the next connection
    }
    if (!connect()) return std::nullopt;
    return exchange(request);
}

std::optional<CompactSig> RemoteSigner::sign(const consensus::bft::ChainIdentity& chain,
                                             const consensus::bft::Vote& vote) {
    const auto reply = ask(SignRequest{chain, vote});
    if (!reply) return std::nullopt;
    if (const auto* refusal = std::get_if<Refusal>(&*reply)) {
        {
            const std::lock_guard lock(mutex_);
            ++refusals_[static_cast<size_t>(*refusal)];
        }
        if (options_.on_refusal) options_.on_refusal(vote, *refusal);
        return std::nullopt;
    }
    const auto* signature = std::get_if<CompactSig>(&*reply);
    const Hash digest = consensus::bft::vote_digest(chain, vote);
    if (signature != nullptr && verify(keys_.consensus, digest, *signature)) return *signature;
    const std::lock_guard lock(asking_);
    lose("its signature is wrong");
    return std::nullopt;
}

std::optional<RemoteSigner::VrfOutput> RemoteSigner::prove(BytesView alpha) {
    const auto reply = ask(ProveRequest{Bytes(alpha.begin(), alpha.end())});
    const auto* proof = reply ? std::get_if<vrf::Proof>(&*reply) : nullptr;
    if (proof == nullptr) return std::nullopt;
    const auto beta = vrf::verify(keys_.vrf, alpha, *proof);
    if (!beta) return std::nullopt;
    return VrfOutput{*proof, *beta};
}

std::optional<NewestReply> RemoteSigner::newest() {
    const auto reply = ask(NewestRequest{});
    const auto* newest = reply ? std::get_if<NewestReply>(&*reply) : nullptr;
    return newest == nullptr ? std::nullopt : std::optional(*newest);
}

bool RemoteSigner::raise_mark(const Position& to) {
    const auto reply = ask(RaiseMarkRequest{to});
    return reply && std::holds_alternative<RaisedReply>(*reply);
}

std::string RemoteSigner::trouble() const {
    const std::lock_guard lock(mutex_);
    return trouble_;
}
RefusalCounts RemoteSigner::refusals() const {
    const std::lock_guard lock(mutex_);
    return refusals_;
}

}  // namespace trainyard::node::signer
