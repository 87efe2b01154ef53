package kafkatest

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Response returns the answer that the frame is, so that a test can tell what a
// broker said where the client keeps it to itself.
func (f Frame) Response() (kmsg.Response, error) {
	response := kmsg.ResponseForKey(f.Key)
	if !f.Answer || response == nil {
		return nil, fmt.Errorf("a frame of key %d is no answer that is known", f.Key)
	}
	response.SetVersion(f.Version)
	head := answerHead(response)
	if len(f.bytes) < head || head == 9 && f.bytes[8] != 0 {
		return nil, fmt.Errorf("an answer to key %d with an unknown head", f.Key)
	}
	return response, response.ReadFrom(f.bytes[head:])
}

// ProduceErrors returns the errors in an answer to a produce request, one for each
// partition that has one; none for any other frame.
func (f Frame) ProduceErrors() (errs []error) {
	if !f.Answer || f.Key != kmsg.Produce.Int16() {
		return nil
	}
	response, err := f.Response()
	if err != nil {
		return []error{err}
	}
	for _, topic := range response.(*kmsg.ProduceResponse).Topics {
		for _, partition := range topic.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errs
}

// answerHead returns how many bytes stand before the answer itself: the length and
// the correlation id, and the number of tags, which is 0 in all versions there are.
func answerHead(response kmsg.Response) int {
	if response.IsFlexible() {
		return 9
	}
	return 8
}

// answerOf returns the bytes of an answer to the frame's request.
func (f Frame) answerOf(response kmsg.Response) []byte {
	b := make([]byte, answerHead(response))
	binary.BigEndian.PutUint32(b[4:], uint32(f.correlation))
	b = response.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// forged returns the answer that a broker would give to the request if all of it
// went well.
func (f Frame) forged() ([]byte, error) {
	request, ok := kmsg.RequestForKey(f.Key).(*kmsg.AddPartitionsToTxnRequest)
	if !ok {
		return nil, fmt.Errorf("no answer to key %d can be forged", f.Key)
	}
	request.SetVersion(f.Version)
	if len(f.bytes) < 14 {
		return nil, fmt.Errorf("a request of %d bytes", len(f.bytes))
	}
	// After the correlation id comes the client's name, with a length of -1 for
	// none, and the number of tags.
	head := 14 + max(0, int(int16(binary.BigEndian.Uint16(f.bytes[12:]))))
	if request.IsFlexible() {
		head++
	}
	if len(f.bytes) < head {
		return nil, fmt.Errorf("a request of %d bytes", len(f.bytes))
	}
	if err := request.ReadFrom(f.bytes[head:]); err != nil {
		return nil, err
	}
	response := request.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	for _, t := range request.Topics {
		topic := kmsg.NewAddPartitionsToTxnResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			partition := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			partition.Partition = p
			topic.Partitions = append(topic.Partitions, partition)
		}
		response.Topics = append(response.Topics, topic)
	}
	return f.answerOf(response), nil
}
