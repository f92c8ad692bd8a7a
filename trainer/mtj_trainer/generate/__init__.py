"""Playing a trained model: from texts to sound files, without a job."""
