// SPDX-License-Identifier: Apache-2.0
// Workers as threads of one process, who pass messages through a meeting.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>

#include "core/assert.hpp"
#include "training/crew.hpp"
#include "training/tensor.hpp"

namespace trainyard::tests {

/// Messages of one kind of memory: those to the first worker, and the first one's to all.
struct Mail {
    explicit Mail(uint32_t workers) : sent(workers), heard(workers), shared_heard(workers) {}
    std::vector<std::vector<training::Floats>> sent;
    std::vector<size_t> heard;  ///< of each worker's messages, by the first
    std::vector<training::Floats> shared;
    std::vector<size_t> shared_heard;
};

/// What the workers have said so far. One of them runs at a time, so that an emulated machine may
/// be all workers': each holds the lock but for when it waits for another.
struct Meeting {
    explicit Meeting(uint32_t workers)
        : parts(workers), hosts(workers), devices(workers), members(workers, -1) {}
    std::mutex mutex;
    std::condition_variable news;
    std::vector<std::vector<Bytes>> parts;
    Mail hosts, devices;
    std::vector<int> members;  ///< whose device has been linked: its number
    size_t destroyed = 0, aborted = 0;
};

class ThreadCrew final : public training::Crew {
public:
    ThreadCrew(Meeting& meeting, uint32_t rank)
        : meeting_(meeting), rank_(rank), lock_(meeting.mutex) {}
    [[nodiscard]] uint32_t rank() const override { return rank_; }
    [[nodiscard]] uint32_t size() const override {
        return static_cast<uint32_t>(meeting_.parts.size());
    }
    [[nodiscard]] Bytes gather(BytesView mine) override {
        auto& own = meeting_.parts[rank_];
        const size_t round = own.size();
        own.emplace_back(mine.begin(), mine.end());
        meeting_.news.notify_all();
        Bytes all;
        for (const auto& parts : meeting_.parts) {
            wait_for([&] { return parts.size() > round; });
            append(all, parts[round]);
        }
        return all;
    }
    void send_to_first(std::span<const float> x) override { send(meeting_.hosts, x); }
    void receive(std::span<float> x, uint32_t from) override { receive(meeting_.hosts, x, from); }
    void share(std::span<float> x) override { share(meeting_.hosts, x); }

    [[nodiscard]] Meeting& meeting() { return meeting_; }
    void send(Mail& mail, std::span<const float> x) { say(mail.sent[rank_], x); }
    void receive(Mail& mail, std::span<float> x, uint32_t from) {
        hear(x, mail.sent[from], mail.heard[from]);
    }
    void share(Mail& mail, std::span<float> x) {
        if (rank_ == 0) return say(mail.shared, x);
        hear(x, mail.shared, mail.shared_heard[rank_]);
    }
    template <class Condition>
    void wait_for(const Condition& condition) {
        const bool came = meeting_.news.wait_for(lock_, std::chrono::minutes(2), condition);
        ASSERT(came && "what a worker waits for");
    }

private:
    void say(std::vector<training::Floats>& to, std::span<const float> x) {
        to.emplace_back(x.begin(), x.end());
        meeting_.news.notify_all();
    }
    void hear(std::span<float> x, const std::vector<training::Floats>& from, size_t& heard) {
        wait_for([&] { return from.size() > heard; });
        ASSERT_EQ(from[heard].size(), x.size());
        std::copy(from[heard].begin(), from[heard].end(), x.begin());
        ++heard;
    }

    Meeting& meeting_;
    uint32_t rank_;
    std::unique_lock<std::mutex> lock_;
};

}  // namespace trainyard::tests
