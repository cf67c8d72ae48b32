// SPDX-License-Identifier: Apache-2.0
// Three requests and their answers, a few at a time.
#include "node/sync/state_service.hpp"

#include "core/places.hpp"

namespace trainyard::sync {
namespace {

using p2p::Kind;
using p2p::PeerId;

constexpr size_t kServingMax = 16;             ///< answers that are being read
constexpr size_t kServingOfPeerMax = 4;        ///< of those, for one peer
constexpr size_t kAnswerBytesMax = 3'500'000;  ///< leaves room in the message for lengths

}  // namespace

struct StateService::Impl : std::enable_shared_from_this<StateService::Impl> {
    explicit Impl(Parts p) : parts(std::move(p)), strand(parts.runtime.make_strand()) {}

    using Read = std::function<std::optional<Bytes>()>;
    void attach();
    void serve(const PeerId& peer, p2p::Responder responder, Read read);
    [[nodiscard]] std::optional<Bytes> boundaries(const p2p::GetBoundaries& request) const;

    const Parts parts;
    const runtime::Strand strand;
    Places<PeerId> serving{{.all = kServingMax, .of_one = kServingOfPeerMax}};
};

void StateService::Impl::attach() {
    const auto on = [this](Kind kind, auto read) {
        parts.network.on_request(kind, strand,
                                 [weak = weak_from_this(), read](const PeerId& peer, Bytes payload,
                                                                 p2p::Responder asker) {
                                     if (const auto me = weak.lock())
                                         me->serve(peer, std::move(asker),
                                                   [me, read, payload = std::move(payload)] {
                                                       return read(*me, payload);
                                                   });
                                 });
    };
    on(Kind::get_boundaries, [](const Impl& me, BytesView payload) -> std::optional<Bytes> {
        const auto request = p2p::decode_get_boundaries(payload);
        return request ? me.boundaries(*request) : std::nullopt;
    });
    if (parts.shelf == nullptr) return;
    on(Kind::get_snapshots, [](const Impl& me, BytesView) -> std::optional<Bytes> {
        return p2p::encode_snapshots(me.parts.shelf->offers());
    });
    on(Kind::get_snapshot_part, [](const Impl& me, BytesView payload) -> std::optional<Bytes> {
        const auto request = p2p::decode_get_snapshot_part(payload);
        return request ? me.parts.shelf->part(*request) : std::nullopt;
    });
}

void StateService::Impl::serve(const PeerId& peer, p2p::Responder responder, Read read) {
    const auto place = serving.take(peer);
    if (!place) return responder.throttle();
    parts.runtime.offload([place, responder, read = std::move(read)] {
        auto bytes = read();
        bytes ? responder.answer(*std::move(bytes)) : responder.refuse();
    });
}

/// As many as fit, from the first on; none where the first is not recorded.
std::optional<Bytes> StateService::Impl::boundaries(const p2p::GetBoundaries& request) const {
    std::vector<Bytes> found;
    size_t bytes = 0;
    for (uint32_t i = 0; i < request.count; ++i) {
        auto boundary = parts.boundary(request.from_epoch + i);
        if (!boundary) break;
        bytes += boundary->size();
        if (bytes > kAnswerBytesMax) break;
        found.push_back(*std::move(boundary));
    }
    return p2p::encode_boundaries(found);
}

StateService::StateService(Parts parts) : impl_(std::make_shared<Impl>(std::move(parts))) {
    impl_->attach();
}

StateService::~StateService() = default;

}  // namespace trainyard::sync
