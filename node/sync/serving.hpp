// SPDX-License-Identifier: Apache-2.0
// How many answers are read for peers at once, and how many of them for one.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "core/keys.hpp"

namespace trainyard::sync {

/// Thread-safe. Who asks for more is told to slow down.
class Serving : public std::enable_shared_from_this<Serving> {
public:
    Serving(size_t max, size_t per_peer_max) : max_(max), per_peer_max_(per_peer_max) {}

    /// Holds a place until it ends.
    class Place {
    public:
        Place(std::shared_ptr<Serving> of, const PublicKey& peer)
            : of_(std::move(of)), peer_(peer) {}
        ~Place() { of_->leave(peer_); }
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;

    private:
        const std::shared_ptr<Serving> of_;
        const PublicKey peer_;
    };
    /// Null: all places are taken, or this peer's are.
    [[nodiscard]] std::shared_ptr<const Place> begin(const PublicKey& peer) {
        {
            const std::lock_guard lock(mutex_);
            const auto found = taken_.find(peer);
            const size_t own = found == taken_.end() ? 0 : found->second;
            if (all_ >= max_ || own >= per_peer_max_) return nullptr;
            taken_[peer] = own + 1;
            ++all_;
        }
        return std::make_shared<const Place>(shared_from_this(), peer);
    }

private:
    void leave(const PublicKey& peer) {
        const std::lock_guard lock(mutex_);
        --all_;
        const auto found = taken_.find(peer);
        if (--found->second == 0) taken_.erase(found);
    }

    const size_t max_, per_peer_max_;
    std::mutex mutex_;
    size_t all_ = 0;
    std::map<PublicKey, size_t> taken_;
};

}  // namespace trainyard::sync
