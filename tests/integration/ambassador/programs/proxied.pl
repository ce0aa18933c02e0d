# Ask a URL as a Perl program does that has never heard of Pillion: by the proxy that the environment names.
use strict;
use warnings;
use HTTP::Tiny;

my $answer = HTTP::Tiny->new(timeout => 10)->request($ARGV[0], $ARGV[1], { content => $ARGV[2] // '' });
print "$answer->{status}\n$answer->{content}";
