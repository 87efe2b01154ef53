// Prints the values of a topic in hexadecimal, as one of two clients reads them.
//
//	goclients CLIENT BROKERS TOPIC ISOLATION
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
)

func main() {
	brokers, topic, committed := strings.Split(os.Args[2], ","), os.Args[3], os.Args[4] == "read_committed"
	read := map[string]func([]string, string, bool) error{"sarama": readSarama, "kafka-go": readKafkaGo}[os.Args[1]]
	log.Fatal(read(brokers, topic, committed))
}

func readSarama(brokers []string, topic string, committed bool) error {
	config := sarama.NewConfig()
	if committed {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	consumer, err := sarama.NewConsumer(brokers, config)
	if err != nil {
		return err
	}
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	for message := range partition.Messages() {
		fmt.Printf("%x\n", message.Value)
	}
	return nil
}

func readKafkaGo(brokers []string, topic string, committed bool) error {
	config := kafka.ReaderConfig{Brokers: brokers, Topic: topic, StartOffset: kafka.FirstOffset}
	if committed {
		config.IsolationLevel = kafka.ReadCommitted
	}
	reader := kafka.NewReader(config)
	for {
		message, err := reader.ReadMessage(context.Background())
		if err != nil {
			return err
		}
		fmt.Printf("%x\n", message.Value)
	}
}
